"""Reenactment end to end with plain networks: length, pixels, sound, errors, memory."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.dub.inputs import OutputFiles, check_inputs, default_output, frame_count
from pirctl.dub.reenact import reenact
from pirctl.errors import DecodeError, EncodeError, PirctlError, TargetError
from pirctl.media import VideoWriter, probe, read_frames, write_sound
from pirctl.perform.actor import Actor
from pirctl.perform.painter import Painter
from pirctl.perform.stream import paint_stream
from pirctl.progress import Progress
from pirctl.target import Target
from tests.perform.actors import make_actor, square_mask
from tests.reference.footage import ping_pong
from tests.targets import BROW, SIZE, make_target, noise

INVALID = (5, 6)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return make_target(tmp_path_factory.mktemp("targets") / "anna", noise(30, invalid=INVALID))


@pytest.fixture(scope="module")
def actor(target: Target) -> Actor:
    return make_actor(target)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    rng = np.random.default_rng(0)
    write_sound(path, rng.uniform(-0.3, 0.3, 48000 * 3 + 100).astype(np.float32), 48000)
    return path


def painting_with(actor: Actor, renderer: Callable[..., object]) -> Painter:
    """The actor's painter with another network."""
    return replace(actor.painter, brush=replace(actor.painter.brush, renderer=renderer))


def test_a_gpu_that_is_too_small_for_a_batch_is_said_and_nothing_is_left(
    actor: Actor, speech: Path, tmp_path: Path
) -> None:
    def renderer(masked: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 512.00 MiB. GPU 0 has")

    small = replace(actor, painter=painting_with(actor, renderer))
    output = OutputFiles(video=tmp_path / "out" / "result.mp4", picture="crop")
    for batch_size, hint in ((4, "--batch-size 2"), (1, "--device cpu")):
        with pytest.raises(PirctlError, match=r"painting . frames at once: 512\.00 MiB") as caught:
            reenact(actor.target, speech, output, actor=small, batch_size=batch_size)
        assert caught.value.hint == hint
    assert not list((tmp_path / "out").iterdir())


def test_the_result_has_every_frame_the_sound_and_the_mark(
    actor: Actor, speech: Path, tmp_path: Path
) -> None:
    output = tmp_path / "result.mp4"
    reports: list[Progress] = []
    report = reenact(
        actor.target,
        speech,
        OutputFiles(video=output, picture="crop"),
        actor=actor,
        on_progress=reports.append,
    )
    # 3 s and 100 samples: the last frame is begun.
    assert report.frames == 76
    assert len(list(read_frames(output))) == 76
    about = probe(output)
    assert (about.width, about.height, about.frame_rate) == (SIZE, SIZE, Fraction(25))
    assert about.has_audio
    assert about.duration_s == pytest.approx(76 / 25, abs=0.05)
    assert reports[-1].done == reports[-1].total == 76
    assert {"painting", "total"} <= set(report.seconds)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pirctl")]


def test_frames_without_a_face_pass_through_and_are_listed(
    actor: Actor, speech: Path, tmp_path: Path
) -> None:
    report = reenact(
        actor.target,
        speech,
        OutputFiles(video=tmp_path / "result.mkv", picture="crop"),
        actor=actor,
    )
    order = list(ping_pong(30, 76))
    expected = tuple(position for position, number in enumerate(order) if number in INVALID)
    assert report.skipped_frames == expected


def test_each_frame_is_the_film_s_outside_the_mask_and_the_speech_s_inside(
    actor: Actor, speech: Path
) -> None:
    film = list(read_frames(actor.target.frames_path))
    chunks = [row for chunk in actor.express(speech) for row in chunk]
    painted = list(
        paint_stream(actor.painter, enumerate(film), actor.express(speech), (0,), batch_size=4)
    )
    assert len(painted) == len(film)
    for number, item in enumerate(painted):
        mask = square_mask(number, np.zeros(4))
        if number in INVALID:
            np.testing.assert_array_equal(item.frame, film[number])
            continue
        np.testing.assert_array_equal(item.frame[mask == 0], film[number][mask == 0])
        inside = item.frame[mask == 1]
        assert (inside[:, 0] == round(255 * float(chunks[number][0]))).all()
        # The brow is the footage's own, although the speech says 0.9 everywhere.
        brow = actor.track.z_exp[number, BROW]
        assert (np.abs(inside[:, 1] - 255 * brow) <= 0.51).all()


def test_the_batch_size_changes_nothing(actor: Actor, speech: Path) -> None:
    film = list(read_frames(actor.target.frames_path))
    one, many = (
        [
            item.frame
            for item in paint_stream(
                actor.painter, enumerate(film), actor.express(speech), (0,), batch_size=size
            )
        ]
        for size in (1, 7)
    )
    np.testing.assert_array_equal(np.stack(one), np.stack(many))


def test_two_runs_give_the_same_file(actor: Actor, speech: Path, tmp_path: Path) -> None:
    frames = []
    for name in ("one.mkv", "two.mkv"):
        reenact(
            actor.target, speech, OutputFiles(video=tmp_path / name, picture="crop"), actor=actor
        )
        frames.append(np.stack(list(read_frames(tmp_path / name))))
    np.testing.assert_array_equal(*frames)


def test_the_full_shot_is_the_source_with_the_painted_part_pasted_in(
    tmp_path: Path, speech: Path
) -> None:
    target = make_target(tmp_path / "targets" / "bert", noise(12))
    source = tmp_path / "source.mkv"
    rng = np.random.default_rng(5)
    with VideoWriter(source, 200, 160, Fraction(25), quality="archive") as writer:
        # Grey, so that the coarser colour of the delivered video does not matter.
        shot = rng.integers(60, 200, (20, 25, 1), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        shot = shot.repeat(3, 2)
        for _ in range(12):
            writer.write(shot)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    target.write_about(
        replace(target.about, source=str(source), source_sha256=digest, source_width=200,
                source_height=160, crop_x=40.0, crop_y=16.0, crop_side=128.0)
    )  # fmt: skip
    output = tmp_path / "full.mkv"
    report = reenact(target, speech, OutputFiles(video=output), actor=make_actor(target))
    assert (report.width, report.height) == (200, 160)
    result, shots = list(read_frames(output)), list(read_frames(source))
    assert len(result) == 76
    # The mask of frame 0 is columns 8 to 32 and rows 31 to 48 of 64: times 2, plus the corner.
    change = np.abs(result[0].astype(int) - shots[0]).max(-1) > 40
    rows, columns = np.nonzero(change)
    assert rows.min() >= 16 + 60
    assert rows.max() <= 16 + 98
    assert columns.min() >= 40 + 14
    assert columns.max() <= 40 + 66
    assert len(rows) > 1000


def test_a_changed_source_is_refused_for_the_full_shot(
    actor: Actor, speech: Path, tmp_path: Path
) -> None:
    with pytest.raises(TargetError, match=r"gone\.mp4: the source video is gone"):
        reenact(actor.target, speech, OutputFiles(video=tmp_path / "x.mp4"), actor=actor)


def test_mistakes_are_found_before_anything_is_painted(
    actor: Actor, speech: Path, tmp_path: Path
) -> None:
    target, output = actor.target, tmp_path / "result.mp4"
    with pytest.raises(DecodeError, match="does not exist"):
        check_inputs(target, tmp_path / "no.wav", output)
    text = tmp_path / "text.wav"
    text.write_text("hello")
    with pytest.raises(DecodeError):
        check_inputs(target, text, output)
    with pytest.raises(DecodeError, match="has no sound"):
        check_inputs(target, target.frames_path, output)
    with pytest.raises(EncodeError, match=r"\.avi|\.txt"):
        check_inputs(target, speech, tmp_path / "result.txt")
    output.write_text("mine")
    with pytest.raises(PirctlError, match="exists already") as caught:
        check_inputs(target, speech, output)
    assert "--force" in str(caught.value.hint)
    assert check_inputs(target, speech, output, picture="crop", force=True) == 48033 / 16000
    assert output.read_text() == "mine"


def test_a_failing_network_leaves_no_file_and_no_thread(
    actor: Actor, speech: Path, tmp_path: Path
) -> None:
    def fail(masked: object, feature: object) -> None:
        raise RuntimeError("out of memory")

    painter = painting_with(actor, fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        reenact(
            actor.target,
            speech,
            OutputFiles(
                video=tmp_path / "result.mp4", picture="crop", curves=tmp_path / "curves.csv"
            ),
            actor=replace(actor, painter=painter),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["speech.wav"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pirctl")]


def test_the_default_output_names_target_and_speech(target: Target) -> None:
    assert default_output(target, Path("a/b/news.of.today.wav")) == Path("anna_news.of.today.mp4")


@pytest.mark.parametrize(
    ("duration_s", "frames"), [(0.001, 1), (0.04, 1), (0.0401, 2), (8.0, 200), (0.1 + 0.2, 8)]
)
def test_frames_cover_the_sound(duration_s: float, frames: int) -> None:
    assert frame_count(duration_s, 25) == frames


_MEMORY = """
import resource, sys
from pathlib import Path
import torch
sys.path.insert(0, {root!r})
from tests.perform.actors import make_actor
from pirctl.dub.inputs import OutputFiles
from pirctl.dub.reenact import reenact
from pirctl.target import Target
torch.set_num_threads(1)
folder, speech, output = map(Path, sys.argv[1:])
target = Target(folder)
reenact(target, speech, OutputFiles(video=output, picture="crop"), actor=make_actor(target))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_speech(target: Target, tmp_path: Path) -> None:
    program = _MEMORY.format(root=str(Path(__file__).parents[2]))
    runs = []
    for seconds in (10, 60):
        speech = tmp_path / f"{seconds}.wav"
        write_sound(speech, np.zeros(16000 * seconds, np.float32), 16000)
        arguments = [str(target.folder), str(speech), str(tmp_path / f"{seconds}.mp4")]
        command = [sys.executable, "-c", program, *arguments]
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    short, long = (int(run.communicate()[0]) for run in runs)
    # 50 s more of frames alone would be 15 MB.
    assert long < short + 8000, f"{short} and {long} kB"
