"""Speed and memory of a preset on this machine."""
