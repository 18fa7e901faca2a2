from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import DecodeError
from pirctl.media.sound import read_sound, sound_duration_s, stream_sound, write_sound
from tests.media.clips import counting_clip, ffmpeg, tone


def loudest_hertz(samples: np.ndarray, rate_hz: int = 16000) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate_hz / len(samples))


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".wav", []),
        (".wav", ["-c:a", "pcm_s24le"]),
        (".wav", ["-ac", "2"]),
        (".wav", ["-ac", "6", "-ar", "44100"]),
        (".m4a", ["-c:a", "aac"]),
        (".mp3", []),
        (".flac", []),
    ],
)
def test_a_tone_keeps_its_pitch_and_length(tmp_path: Path, suffix: str, options: list[str]) -> None:
    samples = read_sound(tone(tmp_path / f"a{suffix}", *options, seconds=1.5))
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert loudest_hertz(samples) == pytest.approx(440, abs=1)
    # AAC and MP3 come in blocks of about a thousand samples.
    assert len(samples) == pytest.approx(24000, abs=600 if suffix in {".mp3", ".m4a"} else 2)


def test_equal_channels_mix_to_the_same_loudness(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "aevalsrc=0.8|0.8:s=48000:d=0.2", tmp_path / "a.wav")
    assert read_sound(tmp_path / "a.wav")[1000:2000] == pytest.approx(0.8, abs=1e-3)


def test_clipped_sound_stays_within_one(tmp_path: Path) -> None:
    loud = "aevalsrc=clip(9*sin(2500*t)\\,-1\\,1):s=48000:d=0.2"
    ffmpeg("-f", "lavfi", "-i", loud, tmp_path / "a.wav")
    assert np.abs(read_sound(tmp_path / "a.wav")).max() <= 1


def test_blocks_are_the_whole_sound_cut_up(tmp_path: Path) -> None:
    path = tone(tmp_path / "a.wav")
    blocks = list(stream_sound(path, 16000, 3000))
    assert [len(block) for block in blocks] == [3000] * 5 + [1000]
    np.testing.assert_array_equal(np.concatenate(blocks), read_sound(path))
    assert sound_duration_s(path) == 1.0


def test_sound_that_starts_late_in_a_video_begins_with_silence(tmp_path: Path) -> None:
    picture, sound = counting_clip(tmp_path / "v.mkv"), tone(tmp_path / "s.wav", seconds=0.5)
    late = ["-itsoffset", 0.25, "-i", sound, "-c:v", "copy", "-c:a", "pcm_s16le"]
    ffmpeg("-i", picture, *late, tmp_path / "late.mkv")
    samples = read_sound(tmp_path / "late.mkv")
    first = int(np.argmax(np.abs(samples) > 0.01))
    assert first == pytest.approx(4000, abs=20)
    assert len(samples) == pytest.approx(12000, abs=20)


def test_written_sound_reads_back(tmp_path: Path) -> None:
    samples = np.linspace(-1.5, 1.5, 5001, dtype=np.float32)
    write_sound(tmp_path / "a.wav", samples, 16000)
    write_sound(tmp_path / "b.wav", iter(np.array_split(samples, 7)), 16000)
    read = read_sound(tmp_path / "a.wav")
    np.testing.assert_allclose(read, np.clip(samples, -1, 1), atol=1 / 32767)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    again = tmp_path / "c.wav"
    write_sound(again, read, 16000)
    np.testing.assert_array_equal(read_sound(again), read)


def test_a_video_without_sound_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="has no sound"):
        read_sound(counting_clip(tmp_path / "a.mp4"))


def test_a_sound_file_of_no_length_is_said_in_words(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", np.zeros(0, np.float32), 16000)
    with pytest.raises(DecodeError, match="holds no sound"):
        read_sound(tmp_path / "a.wav")
    with pytest.raises(DecodeError, match="holds no sound"):
        sound_duration_s(tmp_path / "a.wav")


def test_a_damaged_sound_gives_what_there_is_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = bytearray(tone(tmp_path / "a.mp3", seconds=3).read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2000] = bytes(range(250)) * 8
    (tmp_path / "a.mp3").write_bytes(raw)
    with caplog.at_level(logging.WARNING):
        samples = read_sound(tmp_path / "a.mp3")
    assert len(samples) > 16000
    assert "damaged" in caplog.text


@pytest.mark.shared
def test_real_speech_at_48_khz_keeps_its_length(shared: Path) -> None:
    assert sound_duration_s(shared / "audio" / "deyu.wav") == pytest.approx(9.3427, abs=1e-3)


def test_what_is_no_number_in_a_file_of_floats_is_silence(tmp_path: Path) -> None:
    samples = np.full(16000, 0.5, "<f4")
    samples[4000:8000] = np.nan
    (tmp_path / "raw").write_bytes(samples.tobytes())
    source = ["-f", "f32le", "-ar", 16000, "-ac", 1, "-i", tmp_path / "raw"]
    ffmpeg(*source, "-c:a", "pcm_f32le", tmp_path / "a.wav")
    read = read_sound(tmp_path / "a.wav")
    assert np.isfinite(read).all()
    assert read[1000] == pytest.approx(0.5, abs=0.01)
    assert abs(read[6000]) < 0.01


def test_sound_whose_time_stamps_jump_is_not_filled_with_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tone(tmp_path / "a.ts", "-c:a", "aac", seconds=4)
    stream = bytearray(path.read_bytes())
    heads = [i + 9 for i in range(len(stream) - 14) if stream[i : i + 4] == b"\0\0\1\xc0"]
    assert len(heads) > 4
    # Bit 19 of 33 at 90 kHz: 5.8 s. From 10 s on ffmpeg's own correction takes a jump out.
    stream[heads[len(heads) // 2] + 2] ^= 0x20
    path.write_bytes(stream)
    with caplog.at_level(logging.WARNING):
        assert sum(len(block) for block in stream_sound(path)) < 5 * 16000
    assert "its time stamps jump" in caplog.text
