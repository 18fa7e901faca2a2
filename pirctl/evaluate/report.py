"""One page of an evaluation, or of two beside each other: a file that needs no network.

Everything is inside: pictures, film and curves; no script runs. What comes from names and files is
escaped.
"""

from __future__ import annotations

import base64
import html
import json
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl import __version__
from pirctl.errors import PirctlError
from pirctl.evaluate.result import ROWS
from pirctl.evaluate.verdict import verdict
from pirctl.files import atomic_file, file_hash
from pirctl.media import read_frames

_WORST, _SPREAD = 10, 8
_COLUMNS = {
    "correlation": ("correlation ↑", 3),
    "lmd_px": ("LMD px ↓", 2),
    "movement": ("mouth moves", 2),
    "mouth_psnr_db": ("mouth PSNR ↑", 2),
    "lpips_alex": ("LPIPS ↓", 3),
    "sharpness": ("sharpness", 2),
    "flicker": ("flicker", 2),
    "seam": ("seam", 2),
}
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:0 auto;padding:1rem}
body{color:#222;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
.verdict{font-size:1.15rem;border-left:4px solid #27c;padding:.3rem .8rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
td:first-child,th:first-child{text-align:left}
.ours td{font-weight:600}small{color:#666;font-weight:400}
video,svg,img{max-width:100%;height:auto}
.strip{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:.5rem}
.strip figure{margin:0}.strip img{width:100%}figcaption{font-size:.8rem;color:#666}
@media (prefers-color-scheme:dark){
body{background:#181818;color:#ddd}td,th{border-color:#444}small,figcaption{color:#aaa}
}
"""


@dataclass(frozen=True)
class Run:
    """What `evaluate` left in a folder.

    Attributes:
        folder: where `scores.json` and `film.mp4` are.
        scores: the content of the former.
    """

    folder: Path
    scores: Mapping[str, Any]

    @property
    def film(self) -> Path:
        """Truth and result side by side."""
        return self.folder / "film.mp4"


def read_run(folder: Path) -> Run:
    """Read what `evaluate` left.

    Raises:
        PirctlError: nothing is there, or not what this version writes.
    """
    path = folder / "scores.json"
    again = "pirctl evaluate TARGET writes it"
    if not path.is_file():
        raise PirctlError(f"{folder} has no scores.json", hint=again)
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
        names = {row["name"] for row in scores["rows"]}
        if not {"ours", "truth"} <= names or not isinstance(scores["errors"], list):
            raise KeyError("rows")
        verdict(scores)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PirctlError(
            f"{path} is not what this version of evaluate writes", hint=again
        ) from error
    if not (folder / "film.mp4").is_file():
        raise PirctlError(f"{folder} has no film.mp4", hint=again)
    return Run(folder=folder, scores=scores)


def write_report(path: Path, runs: Sequence[Run]) -> None:
    """Write the page of one run, or of two to compare.

    Raises:
        PirctlError: a film cannot be read, no space left, or no right to write there.
    """
    title = " and ".join(_text(run.scores["target"]) for run in runs)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        # Nothing is fetched, whatever a name in a file says.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; media-src data:; style-src 'unsafe-inline'\">",
        f"<title>pirctl: {title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
    ]
    if len(runs) == 2:
        parts.append(_comparison(*runs))
    for run in runs:
        parts += _sections(run)
    parts += ["<h2>Made with</h2>", _machine(), "</body></html>\n"]
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(parts), encoding="utf-8")


def _sections(run: Run) -> Iterator[str]:
    scores = run.scores
    name, seconds = _text(scores["target"]), len(scores["errors"]) / 25
    yield f'<p class="verdict">{_text(verdict(scores))}</p>'
    yield f"<h2>{name}: {scores['frames']} held-out frames, {seconds:.0f} s</h2>"
    spread, worst = _spread(len(scores["errors"])), _worst(scores["errors"])
    pictures = _pictures(run.film, {0, *spread, *worst})
    film, poster = _data(run.film, "video/mp4"), pictures.get(0, "")
    yield f'<video controls loop playsinline poster="{poster}" src="{film}"></video>'
    yield "<p><small>Left the truth, right the result driven by the held-out sound.</small></p>"
    yield '<h2>Scores</h2><div class="wide">' + _table(scores) + "</div>"
    yield (
        "<p><small>Movement, sharpness, flicker and seam are shares of the truth's: 1 is best. "
        "Small: 95 % confidence interval. ≈: within noise of ours. Driven by silence the mouth "
        f"moves by {float(scores['leak']):.2f} of the truth.</small></p>"
    )
    yield "<h2>The mouth's opening</h2>" + _curves(scores["curves"])
    yield "<h2>Over time</h2>" + _strip(scores["errors"], pictures, spread)
    yield f"<h2>The worst {_WORST} frames</h2>" + _strip(scores["errors"], pictures, worst)
    digests = [
        f"{path.name} {file_hash(path)[:16]}" for path in (run.folder / "scores.json", run.film)
    ]
    yield f"<p><small>SHA-256: {_text(', '.join(digests))}</small></p>"


def _table(scores: Mapping[str, Any]) -> str:
    rows = {row["name"]: row for row in scores["rows"]}
    heads = "".join(f"<th>{head}</th>" for head, _ in _COLUMNS.values())
    lines = [f"<table><tr><th></th>{heads}</tr>"]
    for name in ROWS:
        if name not in rows:
            continue
        cells = "".join(
            f"<td>{_cell(scores, rows[name], field, places)}</td>"
            for field, (_, places) in _COLUMNS.items()
        )
        kind = ' class="ours"' if name == "ours" else ""
        lines.append(f"<tr{kind}><td>{_text(name)}</td>{cells}</tr>")
    return "".join(lines) + "</table>"


def _cell(scores: Mapping[str, Any], row: Mapping[str, Any], field: str, places: int) -> str:
    from pirctl.evaluate.intervals import is_within_noise

    value = row.get(field)
    if value is None:
        return ""
    apart = scores["differences"].get(row["name"], {})
    mark = "≈" if field in apart and is_within_noise(apart[field]) else ""
    text = f"{mark}{float(value):.{places}f}"
    if row["name"] == "ours" and field in row["intervals"]:
        low, high = row["intervals"][field]
        text += f"<br><small>{float(low):.{places}f} to {float(high):.{places}f}</small>"
    return text


def _comparison(one: Run, other: Run) -> str:
    """Ours of both, and what the second has more."""
    lines = ["<h2>Side by side</h2><div class='wide'><table><tr><th></th>"]
    names = [_text(run.scores["target"]) for run in (one, other)]
    lines.append(f"<th>{names[0]}</th><th>{names[1]}</th><th>difference</th></tr>")
    rows = [next(r for r in run.scores["rows"] if r["name"] == "ours") for run in (one, other)]
    for field, (head, places) in _COLUMNS.items():
        values = [row.get(field) for row in rows]
        if None in values:
            continue
        a, b = (float(value) for value in values)
        apart = "≈" if _overlap(rows, field) else ""
        lines.append(
            f"<tr><td>{head}</td><td>{a:.{places}f}</td><td>{b:.{places}f}</td>"
            f"<td>{apart}{b - a:+.{places}f}</td></tr>"
        )
    return "".join(lines) + "</table></div><p><small>≈: the intervals overlap.</small></p>"


def _overlap(rows: Sequence[Mapping[str, Any]], field: str) -> bool:
    spans = [row["intervals"].get(field) for row in rows]
    if None in spans:
        return False
    return max(float(low) for low, _ in spans) <= min(float(high) for _, high in spans)


def _curves(curves: Mapping[str, Sequence[float | None]]) -> str:
    """The opening of the mouth in the truth and in ours over the envelope of the sound."""
    width, height = 960, 220
    total = max(2, len(curves["truth"]))
    top = max([0.1, *(v for name in ("truth", "ours") for v in curves[name] if v is not None)])

    def path(values: Sequence[float | None], most: float) -> str:
        points, pen = [], "M"
        for number, value in enumerate(values):
            if value is None:
                pen = "M"
                continue
            x, y = number * width / (total - 1), height - 12 - (height - 24) * value / most
            points.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
        return "".join(points)

    envelope = [float(v or 0) for v in curves.get("speech", [])]
    lines = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="opening of the mouth">']
    for name, values, most, colour, thick in (
        ("sound", envelope, max([1e-6, *envelope]) * 2, "#bbb", 1.0),
        ("truth", curves["truth"], top, "#888", 2.0),
        ("ours", curves["ours"], top, "#27c", 2.0),
    ):
        line = path(values, most)
        lines.append(
            f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="{thick}">'
            f"<title>{name}</title></path>"
        )
    lines.append(
        "</svg><p><small>Grey the truth, blue ours, thin the sound's envelope.</small></p>"
    )
    return "".join(lines)


def _spread(total: int) -> list[int]:
    count = min(total, _SPREAD)
    return [int(n) for n in np.linspace(0, total - 1, count + 2).round()[1:-1]]


def _worst(errors: Sequence[float | None]) -> list[int]:
    known = [(-1.0 if error is None else float(error)) for error in errors]
    ranked = sorted(range(len(known)), key=lambda number: -known[number])
    return sorted(number for number in ranked[:_WORST] if known[number] >= 0)


def _strip(
    errors: Sequence[float | None], pictures: Mapping[int, str], numbers: Sequence[int]
) -> str:
    figures = []
    for number in numbers:
        if number in pictures:
            error = errors[number]
            off = "" if error is None else f", off by {float(error):.1f} grey levels"
            figures.append(
                f'<figure><img alt="truth and result" src="{pictures[number]}">'
                f"<figcaption>{number / 25:.2f} s{off}</figcaption></figure>"
            )
    return f'<div class="strip">{"".join(figures)}</div>'


def _pictures(film: Path, numbers: Collection[int]) -> dict[int, str]:
    """Some frames of the film, which is decoded once."""
    frames = enumerate(read_frames(film))
    return {number: _picture(frame) for number, frame in frames if number in numbers}


def _picture(frame: NDArray[np.uint8]) -> str:
    import cv2

    _, packed = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"data:image/jpeg;base64,{base64.b64encode(packed.tobytes()).decode('ascii')}"


def _machine() -> str:
    import os

    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    said = (
        f"pirctl {__version__}, torch {torch.__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {device}"
    )
    return f"<p>{_text(said)}</p>"


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _text(value: object) -> str:
    return html.escape(str(value))
