"""A target that can perform: what was trained is loaded, and an expression becomes frames."""
