"""What the pictures of a video are good for, and how much of it a person can be learnt from."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pirctl.check.faces import FaceLook, find_face
from pirctl.check.finding import Finding
from pirctl.check.sounds import percent
from pirctl.face.looks import Look
from pirctl.face.search import FaceDetector
from pirctl.media import MediaInfo
from pirctl.media.cuts import difference, small_gray
from pirctl.media.picture import HLG, PQ

_ANOTHER_SHOT = 0.6
"""Difference of two pictures half a second or more apart; people who walk stay below 0.4."""
_TURNED_DEG, _FAR_DEG = 35.0, 60.0


@dataclass(frozen=True, kw_only=True)
class PictureFacts:
    """A video's pictures in numbers.

    Attributes:
        width: as shown, in pixels.
        height: likewise.
        frame_rate: mean frames per second; None: not known.
        has_steady_rate: whether all frames last equally long.
        duration_s: of the file.
        bit_depth: of the stored samples.
        dynamic_range: "standard", "PQ" or "HLG".
        is_interlaced: whether pictures are made of two fields.
        looks: pictures that were looked at, spread over the length.
        cuts: least number of cuts, as far as these tell.
    """

    width: int
    height: int
    frame_rate: float | None
    has_steady_rate: bool
    duration_s: float
    bit_depth: int
    dynamic_range: str
    is_interlaced: bool
    looks: int
    cuts: int


@dataclass(frozen=True, kw_only=True)
class FaceFacts:
    """The face in numbers: medians over the pictures that were looked at, unless said otherwise.

    Attributes:
        seen_share: pictures with a face.
        usable_share: pictures with one that is whole, and not in profile.
        whole_share: of those with a face, pictures in which mouth and chin are inside.
        height_px: from the middle of the brows to the chin.
        detail_px: height of the smallest picture that shows the same.
        turned_share: of those with a face, pictures turned by more than 35 degrees.
        brightest: grey level that a twentieth of the face exceeds, 0 to 255.
        burnt: share of the face that is white.
        one_sided: grey level of the lighter half of the face over the darker.
        mouth: opening of the lips in eye distances that a twentieth of the pictures exceeds.
        others_share: pictures with another face at least half as large.
    """

    seen_share: float
    usable_share: float
    whole_share: float
    height_px: float
    detail_px: float
    turned_share: float
    brightest: float
    burnt: float
    one_sided: float
    mouth: float
    others_share: float


def look_over(
    looks: Iterable[Look], info: MediaInfo, detector: FaceDetector
) -> tuple[PictureFacts, FaceFacts | None]:
    """Facts of pictures and face; no facts of a face where there is none.

    Raises:
        DecodeError: as `look_at`.
    """
    faces: list[FaceLook] = []
    count = cuts = 0
    is_interlaced, bit_depth, transfer, before = False, 8, 0, None
    for look in looks:
        small = small_gray(look.picture)
        cuts += before is not None and difference(before, small) > _ANOTHER_SHOT
        before, count = small, count + 1
        is_interlaced |= look.is_interlaced
        bit_depth, transfer = look.bit_depth, look.transfer
        face = find_face(look, detector)
        faces += [] if face is None else [face]
    pictures = PictureFacts(
        width=info.width,
        height=info.height,
        frame_rate=float(info.frame_rate) if info.frame_rate else None,
        has_steady_rate=info.has_steady_rate,
        duration_s=info.duration_s,
        bit_depth=bit_depth,
        dynamic_range={PQ: "PQ", HLG: "HLG"}.get(transfer, "standard"),
        is_interlaced=is_interlaced,
        looks=count,
        cuts=cuts,
    )
    return pictures, _summary(faces, count) if faces else None


def _summary(faces: list[FaceLook], count: int) -> FaceFacts:
    def median(name: str) -> float:
        return float(np.median([getattr(face, name) for face in faces]))

    turned = np.array([max(abs(face.yaw_deg), abs(face.pitch_deg)) for face in faces])
    whole = np.array([face.is_whole for face in faces])
    return FaceFacts(
        seen_share=len(faces) / count,
        usable_share=float((whole & (turned < _FAR_DEG)).sum()) / count,
        whole_share=float(whole.mean()),
        height_px=median("height_px"),
        detail_px=median("detail_px"),
        turned_share=float((turned > _TURNED_DEG).mean()),
        brightest=median("brightest"),
        burnt=median("burnt"),
        one_sided=median("one_sided"),
        mouth=float(np.percentile([face.mouth for face in faces], 95)),
        others_share=float(np.mean([face.others > 0 for face in faces])),
    )


def judge_pictures(facts: PictureFacts, video: str) -> Iterator[Finding]:
    """What is wrong with the pictures, whoever they show."""
    if facts.is_interlaced:
        yield Finding(
            "stop",
            "pictures",
            "they are interlaced: each holds two moments, line by line",
            f"ffmpeg -i {shlex.quote(video)} -vf bwdif -c:a copy progressive.mp4",
        )
    if facts.frame_rate is not None and facts.frame_rate < 18:
        yield Finding(
            "warning",
            "pictures",
            f"{facts.frame_rate:.3g} frames a second are too few to show lips that speak",
            "use the recording at its own rate, 24 frames a second or more",
        )
    if not facts.has_steady_rate:
        what = "the frames last unequally long; each keeps its own time in the result"
        yield Finding("note", "pictures", what)
    if facts.dynamic_range != "standard":
        what = f"{facts.dynamic_range}, {facts.bit_depth} bit: kept, but its light was not judged"
        yield Finding("note", "pictures", what)
    if facts.cuts:
        times = "once" if facts.cuts == 1 else f"{facts.cuts} times"
        yield Finding(
            "note",
            "cuts",
            f"the video cuts at least {times}; one crop has to hold the face in all shots",
            "where the shots differ much, cut them apart and dub each",
        )


def judge_face(facts: FaceFacts | None, pictures: PictureFacts) -> Iterator[Finding]:
    """What is wrong with the face: is it there, is it large and sharp, how is it lit and turned."""
    if facts is None or facts.seen_share < 0.1:
        seen = "no picture" if facts is None else percent(facts.seen_share)
        of = f" of the {pictures.looks} pictures that were looked at"
        yield Finding("stop", "face", f"a face is seen in {seen}{of}", "give a video of a face")
        return
    if facts.whole_share < 0.9:
        yield Finding(
            "stop" if facts.whole_share < 0.1 else "warning",
            "face",
            f"mouth or chin lie outside {percent(1 - facts.whole_share)} of the pictures",
            "use a shot that shows the whole mouth and chin, with room for a dropped jaw",
        )
    if facts.usable_share < 0.1:
        return
    if facts.seen_share < 0.95:
        what = f"a face is seen in {percent(facts.seen_share)} of the pictures; the others pass"
        yield Finding("warning" if facts.seen_share < 0.7 else "note", "face", f"{what} unchanged")
    yield from _judge_size(facts)
    if pictures.dynamic_range != "PQ":
        yield from _judge_light(facts)
    if facts.turned_share > 0.05:
        yield Finding(
            "warning" if facts.turned_share > 0.25 else "note",
            "turned head",
            f"the head is turned by more than {_TURNED_DEG:.0f} degrees in "
            f"{percent(facts.turned_share)} of the pictures; there the lips are seen less well",
            "footage of the same person from the front helps",
        )
    if facts.mouth < 0.04:
        yield Finding(
            "warning",
            "mouth",
            "the lips hardly part, so teeth and the mouth's inside are never seen",
            "train on footage in which the person speaks",
        )
    if facts.others_share > 0.1:
        yield Finding(
            "warning",
            "people",
            f"another face is seen in {percent(facts.others_share)} of the pictures; the largest "
            "and most central is taken",
            "cut the shots of each person apart, or crop the video to one",
        )


def _judge_size(facts: FaceFacts) -> Iterator[Finding]:
    tall = facts.height_px
    if tall < 24:
        what = f"the face is only {tall:.0f} px from brow to chin: too few to show lips"
        yield Finding("stop", "face", what, "use the recording at its full size, or a closer shot")
    elif tall < 64:
        what = f"the face is small, {tall:.0f} px from brow to chin; lips will be coarse"
        yield Finding("warning", "face", what, "use the recording at its full size if there is one")
    if facts.detail_px < min(80, tall / 2):
        yield Finding(
            "warning" if facts.detail_px < 55 else "note",
            "blur",
            f"out of focus, enlarged or strongly compressed: the face is {tall:.0f} px tall and "
            f"shows what a face of {facts.detail_px:.0f} px would",
            "use the recording itself; the result is not sharper than what it learns from",
        )


def _judge_light(facts: FaceFacts) -> Iterator[Finding]:
    more = "lighten the video before, or use a better lit recording"
    if facts.brightest < 70:
        what = f"the face is dark: its highlights reach {facts.brightest:.0f} of 255"
        yield Finding("warning", "light", what, more)
    if facts.burnt > 0.2:
        what = f"{percent(facts.burnt)} of the face is burnt out to white"
        yield Finding("warning", "light", what, "use a recording that is not overexposed")
    if facts.one_sided > 2.2:
        yield Finding(
            "warning" if facts.one_sided > 3.5 else "note",
            "light",
            f"one half of the face is {facts.one_sided:.1f} times as light as the other; teeth and "
            "lips in the shadow come out less well",
            "a recording with light from the front is better",
        )


def judge_length(training_s: float) -> Iterator[Finding]:
    """How much speech with a usable face there is, and what came of as much when it was measured.

    The figures are those of models/cards/laptop.md.
    """
    have = f"{training_s:.0f} s of speech with a usable face"
    more = "more footage of this person, as one file, is the best help there is"
    if training_s < 2:
        yield Finding("stop", "footage", f"{have} are too little to learn from", more)
    elif training_s < 12:
        yield Finding(
            "warning",
            "footage",
            f"only {have}: measured with six seconds, lips follow hardly better than a mean mouth",
            more,
        )
    elif training_s < 45:
        yield Finding(
            "note",
            "footage",
            f"{have}. Measured with 15 s, held-out speech: lips follow (correlation 0.75 at best), "
            "and move half as much as the person's own",
            more,
        )
    elif training_s < 120:
        yield Finding("note", "footage", f"{have}; better than the 15 s that were measured", more)
