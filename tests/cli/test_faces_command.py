"""`pirctl faces`: sheet, table, JSON and exit codes."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import cv2
import pytest

from pirctl.cli import main
from pirctl.prepare import people
from tests.face.crowds import ANNA, BEN, CrowdDetector, RedRecogniser, film, frame


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(people, "open_points", lambda *_: nullcontext(CrowdDetector()))
    monkeypatch.setattr(people, "choose_recogniser", lambda: (RedRecogniser(), "red"))
    shots = [frame((ANNA, 20, 50))] * 25 + [frame((BEN, 220, 50), ground=1)] * 50
    return film(Path("talk.mkv"), shots)


def rows(out: str) -> list[list[str]]:
    """The cells of the table."""
    lines = [line for line in out.splitlines() if line.startswith("\u2502")]
    return [[cell.strip() for cell in line.strip("\u2502").split("\u2502")] for line in lines]


def test_a_table_and_a_sheet_have_a_row_for_each_person(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["faces", str(video), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert rows(out) == [
        ["1", "2.0 s", "67%", "1.0 s", "3.0 s", "speaks"],
        ["2", "1.0 s", "33%", "0.0 s", "1.0 s", ""],
    ]
    assert out.splitlines()[-1] == "talk_faces.png"
    sheet = cv2.imread("talk_faces.png")
    assert sheet is not None
    height = len(sheet) // 2
    middles = [int(sheet[y - 80, 80, 2]) for y in (height, 2 * height)]
    assert middles == [pytest.approx(BEN, abs=3), pytest.approx(ANNA, abs=3)]


def test_json_holds_the_same(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faces", str(video), "--output", "a.png", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["sheet"], report["told_by"], report["speaker"]) == ("a.png", "red", 1)
    assert [face["number"] for face in report["faces"]] == [1, 2]
    assert [face["seconds"] for face in report["faces"]] == pytest.approx([2, 1], abs=0.002)
    (span,) = report["faces"][1]["ranges_s"]
    assert span == pytest.approx([0, 1], abs=0.002)


def test_a_picture_of_the_users_own_name_is_not_replaced_unasked(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.png").write_text("mine")
    assert main(["faces", str(video), "--output", "mine.png", "--quiet"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert Path("mine.png").read_text() == "mine"
    assert main(["faces", str(video), "--output", "mine.png", "--quiet", "--force"]) == 0


@pytest.mark.parametrize("output", ["sheet.txt", "sheet"])
def test_what_is_no_name_of_a_picture_is_told(
    video: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["faces", str(video), "--output", output, "--quiet"]) == 1
    assert "end --output in .png" in capsys.readouterr().err


def test_a_video_without_people_is_told(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film(Path("empty.mkv"), [frame()] * 10)
    assert main(["faces", "empty.mkv", "--quiet"]) == 1
    assert "no face found" in capsys.readouterr().err
    assert not Path("empty_faces.png").exists()


def test_sound_alone_is_told(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.media.clips import tone

    tone(Path("a.wav"))
    assert main(["faces", "a.wav", "--quiet"]) == 1
    assert "has no picture, only sound" in capsys.readouterr().err
