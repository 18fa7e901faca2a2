"""Synthetic speech with timed phonemes, by espeak-ng through ctypes.

Owns the sentences, the voice and the one foreign call; which shape the lips take for a phoneme is
in `visemes.py`. Calls are serialised and independent: any number of them in one process give the
same sound.
"""

from __future__ import annotations

import ctypes
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SENTENCES = (
    "Good morning, and welcome to the programme.",
    "My name is made up, and so is my face, but the words are real enough.",
    "Before the market opens, five boats bring fish, mussels and fresh bread across the bay.",
    "Peter put the blue pepper pot beside the window.",
    "We measured how far the lips move while somebody speaks, and how soon they close again.",
    "Why would you choose a boat when the old bridge is open?",
    "Three thieves thought they had found a thousand feathers in the tower.",
    "Please show me the map, because I have never been to this part of town before.",
    "The weather will be mild in the west, with heavy showers over the mountains by evening.",
    "You should use both hands to move a full bowl of soup.",
    "Every voice has a rhythm of its own, and every mouth a habit.",
    "My mother bought a pound of apples, a bottle of milk and some very old cheese.",
    "She saw seven ships pass the harbour as the fog began to lift.",
    "Who knew that a robot could whisper?",
    "Farmers along the river hope for a warm and peaceful autumn.",
    "Maybe tomorrow we will bake a pie, or perhaps just buy one.",
)
"""What the speaker says for training, repeated when more is wanted."""

HELDOUT_SENTENCES = (
    "This last part is new, so nobody has practised it.",
    "A brown fox jumped above both bushes, while the sleepy dog made no move.",
    "Remember to feed the birds, water the palm, and shut the garden gate.",
    "From here on the moon looks bigger than it was before.",
    "Can you believe how few people have come to the fair?",
)
"""What the speaker says at the end of the clip, heard nowhere before."""

WORDS_PER_MINUTE = 155
VOICE = "en-us"
VARIANT = "en-us+f2"

_LOCK = threading.Lock()
_RETRIEVAL_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1
_EVENT_END, _EVENT_PHONEME = 5, 7
_UTF8 = 1
_RATE, _RANGE = 1, 4

_LEAD_S = 0.35
"""Silence before the first word."""


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, kw_only=True)
class Phoneme:
    """One sound and when it is made.

    Attributes:
        name: espeak's mnemonic without stress marks, "" for silence.
        start_s: seconds from the start of the sound.
        end_s: seconds; the next phoneme's start.
        is_stressed: carries a stress mark.
    """

    name: str
    start_s: float
    end_s: float
    is_stressed: bool = False


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """Sound and its phonemes, which tile it without gaps.

    Attributes:
        samples: (S,) float32 in [-1,1], mono.
        rate_hz: sample rate.
        phonemes: in order; the first starts at 0, the last ends at S / rate_hz.
    """

    samples: np.ndarray
    rate_hz: int
    phonemes: tuple[Phoneme, ...]

    @property
    def duration_s(self) -> float:
        """Length of the sound in seconds."""
        return len(self.samples) / self.rate_hz


def speak(sentence: str, words_per_minute: int = WORDS_PER_MINUTE) -> Utterance:
    """Say one sentence.

    Args:
        sentence: English text.
        words_per_minute: speed, 80 to 400.
    """
    import espeakng_loader

    with _LOCK, tempfile.TemporaryDirectory() as folder:
        # The library keeps phase and noise in static variables from one call to the next; a copy
        # under a new name is loaded with fresh ones, so a sentence always sounds the same.
        copied = shutil.copy(espeakng_loader.get_library_path(), folder)
        library = ctypes.CDLL(copied)
        library.espeak_Initialize.restype = ctypes.c_int
        data = str(Path(espeakng_loader.get_data_path()).parent).encode()
        rate = library.espeak_Initialize(_RETRIEVAL_SYNCHRONOUS, 0, data, _PHONEME_EVENTS)
        if rate <= 0:
            raise RuntimeError(f"espeak-ng does not start with its data at {data.decode()}")
        try:
            blocks, events = _synthesise(library, sentence, words_per_minute)
        finally:
            library.espeak_Terminate()
    samples = np.concatenate(blocks).astype(np.float32) / 32768.0
    return Utterance(samples=samples, rate_hz=rate, phonemes=_tile(events, len(samples) / rate))


def _synthesise(
    library: ctypes.CDLL, sentence: str, words_per_minute: int
) -> tuple[list[np.ndarray], list[tuple[str, float]]]:
    blocks: list[np.ndarray] = [np.zeros(0, np.int16)]
    events: list[tuple[str, float]] = []

    def receive(wave: object, count: int, event: object) -> int:
        if wave and count > 0:
            blocks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while event[index].type != 0:  # type: ignore[index]
            this = event[index]  # type: ignore[index]
            if this.type == _EVENT_PHONEME:
                events.append((this.id.string.decode("utf-8", "ignore"), this.audio_position / 1e3))
            elif this.type == _EVENT_END:
                events.append(("", this.audio_position / 1e3))
            index += 1
        return 0

    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    callback = _Callback(receive)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(VARIANT.encode()) != 0:
        library.espeak_SetVoiceByName(VOICE.encode())
    library.espeak_SetParameter(_RATE, words_per_minute, 0)
    library.espeak_SetParameter(_RANGE, 58, 0)
    text = sentence.encode()
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint,
        ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    status = library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
    if status != 0:
        raise RuntimeError(f"espeak-ng failed with status {status} on {sentence!r}")
    library.espeak_Synchronize()
    return blocks, events


_MARKS = "',%=!_:|;"


def _tile(events: list[tuple[str, float]], duration_s: float) -> tuple[Phoneme, ...]:
    """Phonemes from the start of the sound to its end, without gaps."""
    starts = [(name, min(max(at, 0.0), duration_s)) for name, at in events]
    if not starts or starts[0][1] > 0:
        starts.insert(0, ("", 0.0))
    phonemes = []
    for k, (name, start) in enumerate(starts):
        end = starts[k + 1][1] if k + 1 < len(starts) else duration_s
        if end > start:
            bare = name.strip().strip(_MARKS)
            stressed = "'" in name
            phonemes.append(Phoneme(name=bare, start_s=start, end_s=end, is_stressed=stressed))
    return tuple(phonemes)


def silence(seconds: float, rate_hz: int) -> Utterance:
    """A pause."""
    samples = np.zeros(round(seconds * rate_hz), np.float32)
    phoneme = Phoneme(name="", start_s=0.0, end_s=len(samples) / rate_hz)
    return Utterance(samples=samples, rate_hz=rate_hz, phonemes=(phoneme,))


def join(parts: list[Utterance]) -> Utterance:
    """Utterances one after the other."""
    phonemes: list[Phoneme] = []
    done = 0
    for part in parts:
        begin = done / part.rate_hz
        phonemes += [
            Phoneme(
                name=p.name,
                start_s=p.start_s + begin,
                end_s=p.end_s + begin,
                is_stressed=p.is_stressed,
            )
            for p in part.phonemes
        ]
        done += len(part.samples)
    samples = np.concatenate([part.samples for part in parts])
    return Utterance(samples=samples, rate_hz=parts[0].rate_hz, phonemes=tuple(phonemes))


def talk(sentences: tuple[str, ...], seconds: float, rng: np.random.Generator) -> Utterance:
    """Speech of an exact length: sentences with pauses between them, silence at both ends.

    Args:
        sentences: said in order, again from the first when they do not last.
        seconds: length of the result; the last sentence is one that fits.
        rng: draws speeds and pauses.
    """
    first = speak(sentences[0])
    rate = first.rate_hz
    total = round(seconds * rate)
    parts = [silence(min(_LEAD_S, seconds), rate)]
    count = len(parts[0].samples)
    k = misses = 0
    # A sentence that does not fit makes room for a shorter one, once around.
    while misses < len(sentences):
        speed = int(rng.integers(148, 163))
        said = speak(sentences[k % len(sentences)], speed)
        pause = silence(float(rng.uniform(0.35, 0.95)), rate)
        if count + len(said.samples) + round(0.2 * rate) <= total:
            parts += [said, pause]
            count += len(said.samples) + len(pause.samples)
            misses = 0
        else:
            misses += 1
        k += 1
    joined = join([*parts, silence(max(0.0, seconds - count / rate), rate)])
    samples = joined.samples[:total]
    samples = np.pad(samples, (0, total - len(samples)))
    end = total / rate
    phonemes = [p for p in joined.phonemes if p.start_s < end]
    last = phonemes[-1]
    phonemes[-1] = Phoneme(
        name=last.name, start_s=last.start_s, end_s=end, is_stressed=last.is_stressed
    )
    return Utterance(samples=samples, rate_hz=rate, phonemes=tuple(phonemes))
