"""Sound to one feature vector per video frame."""

from pirctl.speech.build import build_encoder
from pirctl.speech.encoder import SpeechEncoder

__all__ = ["SpeechEncoder", "build_encoder"]
