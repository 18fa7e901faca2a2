"""New speech, or another person's expression, onto the original shot."""
