"""Faces: tracking, cropping, the camera, face models and their fit, parsing, masks, drawing."""
