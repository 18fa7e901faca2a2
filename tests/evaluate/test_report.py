"""The page of an evaluation: true to its scores, whole without a network, safe against names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pirctl.errors import PirctlError
from pirctl.evaluate.film import SIDE_PX
from pirctl.evaluate.report import read_run, write_report
from pirctl.evaluate.verdict import verdict
from pirctl.media import VideoWriter

FRAMES = 30


def scores(name: str = "anna", lmd_px: float = 1.0, **apart: tuple[float, float]) -> dict[str, Any]:
    """What evaluate writes, with `ours` at this distance and baselines at 2 px."""

    def row(kind: str, lmd: float) -> dict[str, Any]:
        return {
            "name": kind, "lmd_px": lmd, "correlation": 0.8, "movement": 0.7, "sharpness": 1.0,
            "flicker": 0.9, "seam": 1.0, "intervals": {"lmd_px": [lmd - 0.1, lmd + 0.1]},
        }  # fmt: skip

    baselines = ("mean mouth", "wrong speech", "untouched frame")
    intervals = dict.fromkeys(baselines, (-1.2, -0.8))
    intervals |= {key.replace("_", " "): value for key, value in apart.items()}
    curve = [0.1 + 0.05 * np.sin(n / 3) for n in range(FRAMES)]
    return {
        "target": name, "frames": FRAMES, "leak": 0.1,
        "rows": [row("truth", 0.2), row("ours", lmd_px), *(row(one, 2.0) for one in baselines)],
        "differences": {one: {"lmd_px": list(span)} for one, span in intervals.items()},
        "curves": {"truth": curve, "ours": [None, *curve[1:]], "speech": curve},
        "errors": [None, *(float(n) for n in range(1, FRAMES))],
    }  # fmt: skip


def a_run(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scores.json").write_text(json.dumps(content))
    with VideoWriter(folder / "film.mp4", 2 * SIDE_PX, SIDE_PX, Fraction(25), force=True) as writer:
        for number in range(FRAMES):
            writer.write(np.full((SIDE_PX, 2 * SIDE_PX, 3), 8 * number, np.uint8))
    return folder


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags_of(page: Path) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.tags


def test_everything_is_inside_and_nothing_is_fetched_or_run(tmp_path: Path) -> None:
    write_report(page := tmp_path / "report.html", [read_run(a_run(tmp_path / "a", scores()))])
    tags = tags_of(page)
    names = [name for name, _ in tags]
    assert names.count("video") == 1
    assert names.count("figure") == 8 + 10
    assert not {"script", "link", "iframe", "object"} & set(names)
    sources = [attributes["src"] for _, attributes in tags if "src" in attributes]
    assert all(str(source).startswith("data:") for source in sources)
    assert not re.search(r"https?://", page.read_text(encoding="utf-8"))


def test_the_worst_frames_are_those_with_the_largest_errors_in_their_order(tmp_path: Path) -> None:
    write_report(page := tmp_path / "report.html", [read_run(a_run(tmp_path / "a", scores()))])
    shown = page.read_text(encoding="utf-8").split("The worst 10 frames")[1]
    found = [float(text) for text in re.findall(r"off by ([\d.]+) grey", shown)]
    assert found == list(range(20, 30))


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    content = scores(name="<script>alert(1)</script>")
    write_report(page := tmp_path / "report.html", [read_run(a_run(tmp_path / "a", content))])
    assert "script" not in {name for name, _ in tags_of(page)}
    assert "&lt;script&gt;" in page.read_text(encoding="utf-8")


def test_two_runs_are_compared_and_what_is_noise_is_marked(tmp_path: Path) -> None:
    runs = [
        read_run(a_run(tmp_path / "a", scores("anna", 1.0))),
        read_run(a_run(tmp_path / "b", scores("bert", 1.5))),
    ]
    write_report(page := tmp_path / "report.html", runs)
    table = page.read_text(encoding="utf-8").split("Side by side")[1].split("</table>")[0]
    assert "<td>1.00</td><td>1.50</td><td>+0.50</td>" in table
    runs[1] = read_run(a_run(tmp_path / "b", scores("bert", 1.05)))
    write_report(page, runs)
    assert "<td>≈+0.05</td>" in page.read_text(encoding="utf-8")


def test_the_verdict_says_what_the_scores_allow() -> None:
    assert "nearer to the truth than those of every baseline" in verdict(scores())
    assert "do not follow" in verdict(scores(wrong_speech=(-1.0, 0.5)))
    weak = verdict(scores(mean_mouth=(-1.0, 0.5)))
    assert "a little" in weak
    assert "mean mouth" in weak
    leaking = scores() | {"leak": 0.5}
    assert "shows through" in verdict(leaking)
    soft = scores()
    soft["rows"][1]["sharpness"] = 0.3
    assert "softer than the footage" in verdict(soft)


@pytest.mark.parametrize(
    "content", ["{}", "[]", "no json", '{"rows": [{"name": "ours"}], "errors": 3}']
)
def test_a_folder_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(PirctlError, match=r"has no scores\.json"):
        read_run(tmp_path)
    folder = a_run(tmp_path / "a", scores())
    (folder / "scores.json").write_text(content)
    with pytest.raises(PirctlError, match="not what this version") as caught:
        read_run(folder)
    assert caught.value.hint


def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs Chromium")
    import cv2

    write_report(page := tmp_path / "report.html", [read_run(a_run(tmp_path / "a", scores()))])
    command = [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=390,2400",
        f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={tmp_path / 'page.png'}",
        page.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    picture = cv2.imread(str(tmp_path / "page.png"))
    assert picture is not None
    # The curve of ours is blue, and the pictures of the film go from black to white.
    blue = (picture[..., 0] > 150) & (picture[..., 2] < 90)
    assert blue.sum() > 200
    greys = {int(value) for value in picture[:, 60, 0]}
    assert len(greys) > 8
