"""Real people, told apart: three over cuts, and two beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from pirctl import config
from pirctl.face.recognise import ColourRecogniser, Recogniser, SfaceRecogniser
from pirctl.media import probe
from pirctl.prepare import people
from pirctl.prepare.options import OutputOptions, ParserOptions, TrackerOptions
from pirctl.prepare.people import Cast
from pirctl.prepare.preprocess import preprocess
from pirctl.weights.catalog import find_weights, weights_entry
from tests.media.clips import ffmpeg

pytestmark = pytest.mark.shared

SQUARE = "scale=480:480:force_original_aspect_ratio=decrease,pad=480:480:(ow-iw)/2,setsar=1,fps=25"
SOUND = "aresample=16000,aformat=channel_layouts=mono"
ANCHOR, WOMAN, MAN = "anchor_german_20s", "hdtf_wda_katiehill_8s", "office_22fps_6s"
SHOTS = [(ANCHOR, 0), (WOMAN, 0), (ANCHOR, 8), (MAN, 0), (WOMAN, 4)]


@pytest.fixture(params=["sface", "colours"])
def recogniser(request: pytest.FixtureRequest) -> Recogniser:
    if request.param == "colours":
        return ColourRecogniser()
    request.getfixturevalue("users_cache")
    if not weights_entry("sface").is_here:
        pytest.skip("needs SFace in the cache: pirctl models pull sface")
    return SfaceRecogniser(find_weights("sface"))


def find(
    video: Path, shared: Path, recogniser: Recogniser, monkeypatch: pytest.MonkeyPatch
) -> Cast:
    monkeypatch.setattr(people, "choose_recogniser", lambda: (recogniser, "as told"))
    tracker = TrackerOptions(model=shared / "weights" / "face_landmarker.task")
    return people.find_people(probe(video), "0", tracker, video.parent)


def cut_film(path: Path, clips: Path) -> Path:
    """Two seconds of each shot, with its sound."""
    inputs, steps = [], []
    for number, (name, start_s) in enumerate(SHOTS):
        inputs += ["-ss", start_s, "-t", 2, "-i", clips / f"{name}.mp4"]
        steps.append(f"[{number}:v]{SQUARE}[v{number}];[{number}:a]{SOUND}[a{number}]")
    streams = "".join(f"[v{number}][a{number}]" for number in range(len(SHOTS)))
    steps.append(f"{streams}concat=n={len(SHOTS)}:v=1:a=1[v][a]")
    ffmpeg(*inputs, "-filter_complex", ";".join(steps), "-map", "[v]", "-map", "[a]", path)
    return path


def test_three_people_are_known_again_over_cuts(
    shared: Path, tmp_path: Path, recogniser: Recogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = cut_film(tmp_path / "a.mp4", shared / "clips")
    cast = find(video, shared, recogniser, monkeypatch)
    # The anchor and the woman twice, the man once; sound and pictures are not equally long.
    begins = [[round(stretch.first_s) for stretch in p.stretches] for p in cast.people]
    assert sorted(begins) == [[0, 4], [2, 8], [6]]
    assert sum(person.seconds for person in cast.people) == pytest.approx(cast.seconds, abs=0.2)


def split_screen(path: Path, clips: Path) -> Path:
    """Somebody silent at the left, the anchor who speaks at the right."""
    ffmpeg("-t", 4, "-i", clips / "expressive_14.mp4", "-t", 4, "-i", clips / f"{ANCHOR}.mp4",
           "-filter_complex", f"[0:v]{SQUARE}[l];[1:v]{SQUARE}[r];[l][r]hstack[v]",
           "-map", "[v]", "-map", "1:a", path)  # fmt: skip
    return path


def test_of_two_beside_each_other_the_one_who_speaks_is_taken(
    shared: Path, tmp_path: Path, recogniser: Recogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = split_screen(tmp_path / "a.mp4", shared / "clips")
    cast = find(video, shared, recogniser, monkeypatch)
    assert len(cast.people) == 2
    assert all(stretch.place[0] > 480 for stretch in cast.speaker.stretches)


def test_the_target_of_a_face_shows_that_face_and_remembers_it(
    shared: Path, tmp_path: Path
) -> None:
    video = split_screen(tmp_path / "a.mp4", shared / "clips")
    model = shared / "weights" / "face_landmarker.task"
    middles = []
    for face in (1, 2):
        report = preprocess(
            video,
            settings=config.load("tiny"),
            tracker=TrackerOptions(model=model, face=face),
            parser=ParserOptions(name="geometry"),
            output=OutputOptions(name=f"face{face}", workspace=tmp_path, with_audio=False),
        )
        assert not report.unusable_frames
        about = report.target.about
        assert about.face == face
        middles.append(about.crop_x + about.crop_side / 2)
    left, right = sorted(middles)
    assert left < 480 < right
