"""How well a target speaks: scores beside baselines, and a contact sheet."""
