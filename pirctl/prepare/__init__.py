"""A video of a speaker becomes a target folder: track, crop, fit, label."""
