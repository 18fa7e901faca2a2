"""Sound in numbers that hold in every language: level, clipping, background, how much is voice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pirctl.check.finding import Finding
from pirctl.media import MediaInfo, stream_sound
from pirctl.settings import MediaSettings
from pirctl.speech.gate import silence_gate
from pirctl.speech.level import LOWEST_DB, SILENCE_DB, FloatArray, measure
from pirctl.speech.voice import hear_voice

LISTENED_S = 600
"""Of a longer sound, only its start is listened to."""

_FULL_SCALE = 0.999
_CLIPPED_SHARE = 0.003
_QUIET_DB = -50.0
_LEAST_ABOVE_DB = 15.0
_SURE = 0.5
_FEW_VOICE, _LITTLE_VOICE = 0.02, 0.3


@dataclass(frozen=True, kw_only=True)
class SoundFacts:
    """A sound in numbers.

    Attributes:
        duration_s: of all of it.
        heard_s: how much of it was listened to, from its start.
        level_db: of the loud parts in dBFS; -120 is digital silence.
        background_db: level that only a twentieth of the frames stays below.
        clipped_share: samples at full scale.
        voiced_share: frames in which somebody speaks, pauses within speech included; None where no
            voice detector is installed.
        sure_share: frames in which the detector is sure of a voice; likewise.
    """

    duration_s: float
    heard_s: float
    level_db: float
    background_db: float
    clipped_share: float
    voiced_share: float | None
    sure_share: float | None

    @property
    def is_silent(self) -> bool:
        """Whether nothing is heard at all."""
        return self.level_db <= SILENCE_DB

    @property
    def has_voice(self) -> bool:
        """Whether somebody speaks, or may."""
        return not self.is_silent and (self.sure_share is None or self.sure_share >= _FEW_VOICE)

    @property
    def voiced_s(self) -> float:
        """Seconds in which somebody speaks, as far as was listened, for all of it."""
        if not self.has_voice:
            return 0.0
        return self.duration_s * (1.0 if self.voiced_share is None else self.voiced_share)


def listen(info: MediaInfo, media: MediaSettings) -> SoundFacts:
    """Listen to the first sound stream of a file.

    Raises:
        DecodeError: no sound in it.
    """
    rate_hz, frame = media.sample_rate_hz, media.sample_rate_hz // media.frame_rate
    samples = np.concatenate(list(_start(info.path, rate_hz)))
    heard_s = len(samples) / rate_hz
    loudness = measure([samples], frame)
    voice = hear_voice([samples], loudness, frame, rate_hz)
    voiced = sure = None
    if voice is not None:
        voiced = float((silence_gate(loudness, voice) < 0.5).mean())
        sure = float((voice >= _SURE).mean())
    return SoundFacts(
        duration_s=max(heard_s, info.duration_s) if heard_s >= LISTENED_S else heard_s,
        heard_s=heard_s,
        level_db=loudness.speech_db,
        background_db=float(np.percentile(loudness.frames_db, 5)),
        clipped_share=float((np.abs(samples) >= _FULL_SCALE).mean()),
        voiced_share=voiced,
        sure_share=sure,
    )


def _start(path: Path, rate_hz: int) -> Iterator[FloatArray]:
    left = LISTENED_S * rate_hz
    for block in stream_sound(path, rate_hz):
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return


def judge_sound(facts: SoundFacts, about: str, *, is_speech: bool) -> Iterator[Finding]:
    """What is wrong with a sound.

    Args:
        facts: of the sound.
        about: what to call it.
        is_speech: whether it is the new speech; else it is what the lips are learnt from.
    """
    needed = "its mouth would stay closed" if is_speech else "training has no speech to learn from"
    other = "give a file with speech" if is_speech else _OTHER_FOOTAGE
    if facts.is_silent:
        level = "digital silence" if facts.level_db <= LOWEST_DB + 1 else f"{facts.level_db:.0f} dB"
        yield Finding("stop", about, f"it is silent ({level}): {needed}", other)
        return
    if not facts.has_voice:
        yield Finding("stop", about, f"nobody speaks in it: {needed}", other)
        return
    if facts.voiced_share is not None and facts.voiced_share < _LITTLE_VOICE:
        what = f"only {percent(facts.voiced_share)} of it is speech"
        yield Finding("note" if is_speech else "warning", about, what, _SILENT_PARTS[is_speech])
    if facts.clipped_share > _CLIPPED_SHARE:
        what = f"it is clipped: {100 * facts.clipped_share:.1f} % of its samples are at full scale"
        yield Finding("warning", about, what, "record or export it at a lower level")
    above_db = facts.level_db - facts.background_db
    if above_db < _LEAST_ABOVE_DB:
        yield Finding(
            "warning",
            about,
            f"noise or music is only {above_db:.0f} dB below the voice, and partly taken for it",
            "use the voice alone, without music, or a tool that separates voices from music",
        )
    if facts.level_db < _QUIET_DB:
        what = f"it is very quiet ({facts.level_db:.0f} dB), so its noise is raised with it"
        yield Finding("warning", about, what, "export it louder from the recording")


_OTHER_FOOTAGE = "train on footage of the same person speaking"
_SILENT_PARTS = {
    True: "where nobody speaks, the original frames pass",
    False: "use footage in which the person speaks most of the time",
}


def percent(share: float) -> str:
    """A share for people: 0 and 100 % only where it is so."""
    rounded = round(100 * share)
    if rounded == 0 and share > 0:
        return "less than 1 %"
    return "more than 99 %" if rounded == 100 and share < 1 else f"{rounded} %"
