"""A planned video becomes a file: exact times, source pixels outside the mask, and going on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.dub import division
from pirctl.dub.filming import Job, Made, make_film
from pirctl.dub.own_times import Scene
from pirctl.dub.plan import Utterance, shot_numbers
from pirctl.dub.role import Role, RolePlan, plan_role
from pirctl.dub.scenes import Footage
from pirctl.dub.work import Work
from pirctl.errors import PirctlError
from pirctl.media import Crop, VideoWriter, probe, read_format, read_planes, read_timeline
from pirctl.media import write_sound as write_wave
from pirctl.media.delivery import DeliverySettings, choose_encoding
from pirctl.media.join import Film, Sound
from pirctl.media.segments import SEGMENT_SUFFIX
from pirctl.media.soundtrack import Spoken
from pirctl.perform.actor import Actor
from pirctl.perform.occlusion import Occlusion
from pirctl.progress import Progress, ignore_progress
from pirctl.provenance import Making, Person, Signing, ingredient_of, open_credentials
from pirctl.provenance.verify import verify
from pirctl.target import Target
from tests.perform.actors import make_actor, square_mask
from tests.targets import SIZE, make_target, noise

FRAMES = 60
WIDTH, HEIGHT = 112, 96
BOX = Crop(x=20, y=12, side=SIZE)
SILENT_FROM_S = 1.4


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    content = noise(FRAMES, invalid=(5, 6))
    return make_target(tmp_path_factory.mktemp("targets") / "anna", content)


@pytest.fixture(scope="module")
def actor(target: Target) -> Actor:
    return make_actor(target)


@dataclass(frozen=True)
class Shot:
    """A video of noise, and what is made of it."""

    job: Job
    sound: Sound
    folder: Path


def make_video(path: Path, rate: Fraction) -> None:
    rng = np.random.default_rng(3)
    with VideoWriter(path, WIDTH, HEIGHT, rate, quality="archive") as writer:
        for _ in range(FRAMES):
            writer.write(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))


@pytest.fixture(params=[Fraction(30000, 1001)], ids=str)
def shot(
    request: pytest.FixtureRequest, actor: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Shot:
    monkeypatch.setattr(division, "SEGMENT_S", 0.4)
    video, speech = tmp_path / "film.mkv", tmp_path / "speech.wav"
    make_video(video, request.param)
    loud = np.random.default_rng(0).uniform(-0.3, 0.3, round(SILENT_FROM_S * 16000))
    write_wave(speech, np.concatenate([loud, np.zeros(32000)]).astype(np.float32), 16000)
    info = probe(video)
    timeline, form = read_timeline(info), read_format(info)
    encoding = choose_encoding(info, form, ".mkv", DeliverySettings(lossless=True))
    scene = Scene(track=actor.track, crop=BOX, size_px=SIZE)
    painter = actor.on(scene.track, scene.scale)
    utterance = Utterance(
        z_exp=np.concatenate(list(actor.express(speech))), silence=actor.silence(speech),
        starts_s=0.0, span=(0.0, 4.0),
    )  # fmt: skip
    plan = plan_role(actor, painter, [utterance], timeline.seconds, shot_numbers(FRAMES, ()))
    work = Work(tmp_path / "work", SEGMENT_SUFFIX)
    work.open({})
    job = Job(
        footage=Footage(info=info, timeline=timeline, sha256=""),
        film=Film(timeline=timeline, form=form, encoding=encoding),
        roles=[Role(scene=scene, painter=painter, plan=plan)],
        work=work,
        making=Making(
            command="dub",
            people=(Person(target="anna", consent=None),),
            source=ingredient_of(video),
            speech=(ingredient_of(speech),),
            keeps_timeline=True,
        ),
        credentials=None,
        batch_size=4,
        report=ignore_progress,
    )
    return Shot(job=job, sound=Sound(spoken=(Spoken(sound=speech),)), folder=tmp_path)


def _make(shot: Shot, name: str = "out.mkv") -> tuple[Made, Path]:
    output = shot.folder / name
    return make_film(shot.job, output, shot.sound), output


def _pictures(path: Path) -> Iterator[np.ndarray]:
    return (planes.rgb() for planes in read_planes(probe(path)))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for picture in _pictures(path):
        digest.update(picture.tobytes())
    return digest.hexdigest()


RATES = [Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 50, Fraction(60000, 1001), 60]


@pytest.mark.parametrize("shot", [Fraction(rate) for rate in RATES], ids=str, indirect=True)
def test_frame_n_is_frame_n_at_its_own_time(shot: Shot) -> None:
    _, output = _make(shot)
    made, source = read_timeline(output), shot.job.footage.timeline
    assert len(made) == len(source) == FRAMES
    assert list(made.times()) == list(source.times())
    assert probe(output).has_audio


def test_outside_the_mask_every_sample_is_the_source_s(shot: Shot) -> None:
    made, output = _make(shot)
    weights = shot.job.roles[0].plan.weights
    assert 0 < (weights > 0).sum() < FRAMES
    assert made.painted == (weights > 0).sum()
    source = shot.job.footage.info.path
    for number, (old, new) in enumerate(zip(_pictures(source), _pictures(output), strict=True)):
        inside = np.zeros((HEIGHT, WIDTH), bool)
        box = inside[BOX.y : BOX.y + SIZE, BOX.x : BOX.x + SIZE]
        box[:] = square_mask(number, np.zeros(4)) > 0
        inside &= bool(weights[number] > 0)
        np.testing.assert_array_equal(new[~inside], old[~inside])
        if weights[number] == 1:
            assert (new[inside][:, 2] < 200).all()  # Nothing blue is painted, and noise has some.


def test_the_original_passes_where_nobody_speaks_and_where_there_is_no_face(shot: Shot) -> None:
    made, output = _make(shot)
    source, seconds = shot.job.footage.info.path, shot.job.footage.timeline.seconds
    old, new = list(_pictures(source)), list(_pictures(output))
    silent = np.flatnonzero(seconds > SILENT_FROM_S + 0.3)
    assert len(silent) > 5
    for number in [5, 6, *silent.tolist()]:
        np.testing.assert_array_equal(new[number], old[number])
    assert made.missed == ((5, 6),)


@pytest.mark.parametrize("stop_at", [1, 13, 26, 40, 59])
def test_a_run_that_was_stopped_goes_on_to_the_same_pictures(shot: Shot, stop_at: int) -> None:
    def stop(report: Progress) -> None:
        if report.step == "painting" and report.done >= stop_at:
            raise SystemExit

    whole, output = _make(shot)
    expected = _digest(output)
    assert whole.reused_segments == 0
    for path in (shot.job.work.folder / "segments").iterdir():
        path.unlink()
    broken = replace(shot, job=replace(shot.job, report=stop))
    with pytest.raises(SystemExit):
        _make(broken, "again.mkv")
    assert not (shot.folder / "again.mkv").exists()
    left = list((shot.job.work.folder / "segments").iterdir())
    assert all(path.suffix == SEGMENT_SUFFIX and path.name[0] != "." for path in left)
    again, second = _make(shot, "again.mkv")
    assert again.reused_segments == len(left)
    assert _digest(second) == expected


def test_the_same_frames_give_the_same_bytes(shot: Shot) -> None:
    segments = shot.job.work.folder / "segments"
    _make(shot)
    first = {path.name: path.read_bytes() for path in segments.iterdir()}
    for path in segments.iterdir():
        path.unlink()
    _make(shot, "again.mkv")
    assert first == {path.name: path.read_bytes() for path in segments.iterdir()}


def test_a_plan_comes_back_as_it_was_written(shot: Shot) -> None:
    areas = np.arange(2 * 1152).reshape(2, -1).astype(np.uint8)
    front = Occlusion(numbers=np.array([3, 5]), areas=areas)
    plan = replace(shot.job.roles[0].plan, front=front)
    shot.job.work.write_plan(plan.to_arrays("role0"))
    known = shot.job.work.read_plan()
    assert known is not None
    read = RolePlan.from_arrays(known, "role0")
    for name in ("weights", "z_exp", "rows", "shares", "missed"):
        np.testing.assert_array_equal(getattr(read, name), getattr(plan, name))
    assert np.array_equal(read.front.numbers, front.numbers)
    assert np.array_equal(read.front.areas, front.areas)
    shot.job.work.plan_path.write_bytes(b"half a plan")
    assert shot.job.work.read_plan() is None


def test_what_a_killed_run_left_half_written_is_cleared_away(shot: Shot) -> None:
    half = shot.job.work.folder / "segments" / ".00000000-00000012.abcd.part.piece"
    half.write_bytes(b"half")
    shot.job.work.open({})
    assert not half.exists()
    shot.job.work.remove()
    assert not shot.job.work.folder.exists()


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_film_is_signed_before_it_has_its_name(
    shot: Shot, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == ".mp4":
        info, form = shot.job.footage.info, shot.job.film.form
        encoding = choose_encoding(info, form, ".mp4", DeliverySettings(codec="h264"))
        shot = replace(shot, job=replace(shot.job, film=replace(shot.job.film, encoding=encoding)))
    shot = replace(shot, job=replace(shot.job, credentials=open_credentials(Signing())))
    made, output = _make(shot, f"signed{suffix}")
    found = verify(output)
    assert found.outcome == "holds", found
    assert made.provenance.manifest == ("embedded" if suffix == ".mp4" else "side-car")
    text = "\n".join(found.claims)
    assert "opened" in text
    assert "film.mkv" in text
    assert "speech.wav" in text
    assert list(read_timeline(output).times()) == list(shot.job.footage.timeline.times())
    before = sorted(path.name for path in shot.folder.iterdir())

    def refuse(*_: object, **__: object) -> None:
        raise PirctlError("no")

    monkeypatch.setattr("pirctl.provenance.signing._read_back", refuse)
    with pytest.raises(PirctlError):
        _make(shot, f"other{suffix}")
    assert sorted(path.name for path in shot.folder.iterdir()) == before
