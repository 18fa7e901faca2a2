"""What a video and a speech are good for, looked at before anything costs time."""
