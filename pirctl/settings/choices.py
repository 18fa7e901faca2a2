"""Choices that are made by name, on the command line and in calls: each list of names once.

No heavy import here: the command line reads them for its help.
"""

from __future__ import annotations

from typing import Literal

TrackerName = Literal["mediapipe", "facexlib"]
"""Who finds the landmarks of a face."""
ParserName = Literal["bisenet", "bisenet-v2", "geometry"]
"""Who labels the pixels of a face."""
FaceModelName = Literal["generic", "bfm"]
"""The face model that is fitted."""
FitName = Literal["landmarks", "deep3d"]
"""What gives the coefficients of the face model."""
StageName = Literal["audio", "face", "render", "all"]
"""A stage of training, or all of them in order."""
Picture = Literal["full", "crop"]
"""What a reenacted video shows: the original shot, or the square around the head."""
Pose = Literal["original", "loop", "still"]
"""Which of the target's frames a reenacted video shows."""
UpperFace = Literal["video", "speech"]
"""Where eyes and brows come from."""
Pauses = Literal["original", "closed"]
"""What a dubbed video shows where nobody speaks: its own frames, or a closed mouth."""
LipTrackerName = Literal["own", "mediapipe"]
"""What measures the lips in evaluation."""
Codec = Literal["source", "h264", "hevc", "vp9", "av1", "prores", "ffv1"]
"""How a dubbed video is encoded; "source" keeps the source's codec where container and encoders
allow it."""
