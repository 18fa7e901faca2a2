"""Pictures and sound in and out of files, through ffmpeg; numpy only, no faces."""

from __future__ import annotations

from pirctl.media.crop import Crop
from pirctl.media.picture import PictureFormat, read_format
from pirctl.media.planes import Planes, read_planes
from pirctl.media.probe import MediaInfo, expected_frames, probe
from pirctl.media.reader import read_frames
from pirctl.media.sound import read_sound, sound_duration_s, stream_sound, write_sound
from pirctl.media.timeline import Timeline, read_timeline
from pirctl.media.video import SYNTHETIC_COMMENT, VideoWriter, check_video_name

__all__ = [
    "SYNTHETIC_COMMENT",
    "Crop",
    "MediaInfo",
    "PictureFormat",
    "Planes",
    "Timeline",
    "VideoWriter",
    "check_video_name",
    "expected_frames",
    "probe",
    "read_format",
    "read_frames",
    "read_planes",
    "read_sound",
    "read_timeline",
    "sound_duration_s",
    "stream_sound",
    "write_sound",
]
