from __future__ import annotations

import resource
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import DecodeError, EncodeError, PirctlError
from pirctl.media.probe import probe
from pirctl.media.reader import read_frames
from pirctl.media.sound import read_sound, write_sound
from pirctl.media.video import SYNTHETIC_COMMENT, VideoWriter
from tests.media.clips import counting_clip, ffmpeg, moving_frames, psnr, tone

RATE = Fraction(25)


def write(path: Path, frames: list[np.ndarray], rate: Fraction = RATE, **options: object) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, width, height, rate, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def click_times_s(path: Path, threshold: float = 0.1) -> list[float]:
    loud = np.flatnonzero(np.abs(read_sound(path, 48000)) > threshold)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-48000) > 4800)]
    return [float(sample) / 48000 for sample in starts]


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """Two seconds of silence with a short loud burst at 0.5 s and at 1.5 s."""
    samples = np.zeros(96000, np.float32)
    for start in (24000, 72000):
        samples[start : start + 480] = 0.9 * np.sin(np.arange(480) * 0.5)
    write_sound(tmp_path / "clicks.wav", samples, 48000)
    return tmp_path / "clicks.wav"


@pytest.mark.parametrize("quality", ["delivery", "archive"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_pictures_survive_in_number_time_and_colour(
    tmp_path: Path, quality: str, suffix: str
) -> None:
    frames = moving_frames(40, 128, 96)
    path = write(tmp_path / f"a{suffix}", frames, quality=quality)
    read = list(read_frames(path))
    assert len(read) == 40
    assert probe(path).frame_rate == RATE
    assert min(map(psnr, frames, read)) > (42 if quality == "archive" else 34)
    # A wrong colour matrix shifts whole pictures by 5 levels and more.
    shift = np.mean([a.astype(float) - b for a, b in zip(frames, read, strict=True)], (0, 1, 2))
    assert np.abs(shift).max() < 1


def test_a_web_video_is_written_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webm", moving_frames(5), sound=tone(tmp_path / "s.wav"))
    assert len(list(read_frames(path))) == 5
    assert probe(path).audio_codec == "opus"


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(1350, 61)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_odd_frame_rates_are_kept_exactly(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", moving_frames(31), rate)
    assert len(list(read_frames(path))) == 31
    assert float(probe(path).frame_rate or 0) == pytest.approx(float(rate), rel=1e-6)


def test_odd_sizes_grow_to_even_ones_by_repeating_the_edge(tmp_path: Path) -> None:
    frames = moving_frames(3, 63, 47)
    read = next(read_frames(write(tmp_path / "a.mp4", frames)))
    assert read.shape == (48, 64, 3)
    assert psnr(read[:47, :63], frames[0]) > 34
    exact = next(read_frames(write(tmp_path / "b.mkv", frames, quality="archive")))
    assert exact.shape == (47, 63, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_encoded_sound_starts_with_the_picture(tmp_path: Path, clicks: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", moving_frames(50), sound=clicks)
    assert click_times_s(path) == pytest.approx([0.5, 1.5], abs=0.003)


@pytest.mark.parametrize(
    ("source", "goal"),
    [
        *[(".m4a", ".mp4"), (".mp4", ".mp4"), (".mp3", ".mp4"), (".ac3", ".mp4")],
        *[(".m4a", ".mkv"), (".flac", ".mkv"), (".opus", ".mkv"), (".ogg", ".mkv")],
        *[(".wav", ".mkv"), (".wav", ".mov"), (".mp4", ".mov"), (".opus", ".webm")],
    ],
)
def test_copied_sound_is_bit_for_bit_and_in_time(
    tmp_path: Path, clicks: Path, source: str, goal: str
) -> None:
    original = tmp_path / f"sound{source}"
    if source == ".mp4":
        picture = ["-i", counting_clip(tmp_path / "v.mp4"), "-map", 0, "-map", 1]
        ffmpeg("-i", clicks, *picture, original)
    else:
        ffmpeg("-i", clicks, original)
    path = write(tmp_path / f"a{goal}", moving_frames(50), sound=original)
    # WAV readers cut their stream at will.
    assert b"".join(packets(path)) == b"".join(packets(original))
    assert click_times_s(path) == pytest.approx(click_times_s(original), abs=0.004)
    assert click_times_s(path) == pytest.approx([0.5, 1.5], abs=0.006)


def packets(path: Path) -> list[bytes]:
    import av

    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_the_picture_decides_the_number_of_frames(tmp_path: Path, seconds: float) -> None:
    sound = tone(tmp_path / "s.wav", seconds=seconds)
    path = write(tmp_path / "a.mp4", moving_frames(30), sound=sound)
    assert len(list(read_frames(path))) == 30
    assert len(read_sound(path)) == pytest.approx(seconds * 16000, abs=2100)


def test_what_is_made_can_be_marked_as_synthetic(tmp_path: Path) -> None:
    import av

    for suffix in (".mp4", ".mkv"):
        path = write(tmp_path / f"a{suffix}", moving_frames(2), comment=SYNTHETIC_COMMENT)
        with av.open(str(path)) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
        assert tags["comment"] == SYNTHETIC_COMMENT


def test_colours_are_tagged(tmp_path: Path) -> None:
    import av

    with av.open(str(write(tmp_path / "a.mp4", moving_frames(2)))) as container:
        assert int(container.streams.video[0].codec_context.colorspace) == 1  # BT.709


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_video_leaves_nothing_and_keeps_the_old_one(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = write(tmp_path / "a.mp4", moving_frames(3))
    old = path.read_bytes()

    def interrupted() -> None:
        with VideoWriter(path, 64, 48, RATE, force=True) as writer:
            writer.write(moving_frames(1)[0])
            raise error

    with pytest.raises(error):
        interrupted()
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == old


def test_two_runs_write_the_same_bytes(tmp_path: Path, clicks: Path) -> None:
    first, second = (
        write(tmp_path / name, moving_frames(20), sound=clicks) for name in ("a.mp4", "b.mp4")
    )
    assert first.read_bytes() == second.read_bytes()


def test_an_existing_video_is_kept_without_force(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving_frames(1))
    with pytest.raises(PirctlError, match="exists already"):
        VideoWriter(tmp_path / "a.mp4", 64, 48, RATE)


def test_an_unknown_ending_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(EncodeError, match=r"'\.txt'") as caught:
        VideoWriter(tmp_path / "a.txt", 64, 48, RATE)
    assert ".mp4" in str(caught.value.hint)


def test_sound_that_is_none_is_said_before_the_work(tmp_path: Path) -> None:
    silent = counting_clip(tmp_path / "v.mp4")
    with pytest.raises(DecodeError, match="has no sound"):
        VideoWriter(tmp_path / "a.mp4", 64, 48, RATE, sound=silent)
    with pytest.raises(DecodeError, match="does not exist"):
        VideoWriter(tmp_path / "a.mp4", 64, 48, RATE, sound=tmp_path / "none.wav")


def test_a_video_without_a_frame_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(EncodeError, match="no frame"),
        VideoWriter(tmp_path / "a.mp4", 64, 48, RATE),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_the_wrong_shape_is_a_bug(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 64, 48, RATE) as writer:
        writer.write(moving_frames(1)[0])
        for wrong in (np.zeros((64, 48, 3), np.uint8), np.zeros((48, 64, 3), np.float32)):
            with pytest.raises(ValueError, match="expected uint8"):
                writer.write(wrong)


FULL_DISK = """
import resource, sys
from fractions import Fraction
import numpy as np
from pirctl.errors import EncodeError
from pirctl.media.video import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
rng = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], 256, 256, Fraction(25)) as writer:
        for _ in range(60):
            writer.write(rng.integers(0, 255, (256, 256, 3), np.uint8))
except EncodeError as error:
    print("refused:", error.message)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs file size limits")
def test_a_disk_that_takes_no_more_ends_in_a_clear_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "a.mkv")]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "could not be written" in result.stdout
    assert list(tmp_path.iterdir()) == []
