"""The whole tool on a synthetic speaker, with no download."""
