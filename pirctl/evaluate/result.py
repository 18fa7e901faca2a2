"""What an evaluation found: the rows, what separates them, and where the pictures are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pirctl.evaluate.intervals import Interval
from pirctl.evaluate.scores import Score

BASELINES = ("mean mouth", "wrong speech", "untouched frame")
"""Rows that `ours` must beat."""
ROWS = ("truth", "true expression", "ours", *BASELINES, "silence")
"""Every row, in the order of the table."""


@dataclass(frozen=True, kw_only=True)
class EvaluateReport:
    """The table, and where the pictures are.

    Attributes:
        target: name of the target.
        first_frame: number of the first held-out frame.
        frames: held-out frames measured.
        rows: those of `ROWS`.
        improvement: per baseline, how much better `ours` is: `correlation` as a difference, `lmd`
            and `mouth_mse` as per cent of the baseline's error removed.
        differences: per row, the 95 % confidence interval of each score of ours minus the row's;
            where it contains 0, they differ within noise.
        curves: per row, how far the mouth is open in each held-out frame, in eye distances, None
            where it could not be read; and `speech`, the envelope of the sound.
        errors: how far ours is off in each held-out frame inside the mask, root of the mean square
            in grey levels; None where nothing was painted.
        leak: the mouth's movement when driven by silence, as a share of the truth's; it contains
            the reader's error. The idea is KeySync's (Bigata et al. 2025).
        scores_path: `scores.json`.
        sheet_path: the contact sheet.
        film_path: truth and ours side by side, with the sound.
    """

    target: str
    first_frame: int
    frames: int
    rows: tuple[Score, ...]
    improvement: dict[str, dict[str, float]]
    differences: dict[str, dict[str, Interval]]
    curves: dict[str, list[float | None]]
    errors: list[float | None]
    leak: float
    scores_path: Path
    sheet_path: Path
    film_path: Path

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        mapping = asdict(self)
        paths = ("scores_path", "sheet_path", "film_path")
        return mapping | {name: str(getattr(self, name)) for name in paths}

    def row(self, name: str) -> Score:
        """Find a row by its name."""
        return next(row for row in self.rows if row.name == name)


def improvement(rows: Iterable[Score]) -> dict[str, dict[str, float]]:
    """How much better `ours` is than each baseline; see `EvaluateReport.improvement`."""
    table = {row.name: row for row in rows}
    ours = table["ours"]
    gains = {}
    for name in BASELINES:
        if name not in table:
            continue
        base = table[name]
        gain = {
            "correlation": ours.correlation - base.correlation,
            "lmd": 100 * (1 - ours.lmd_px / max(base.lmd_px, 1e-9)),
        }
        if ours.mouth_psnr_db is not None and base.mouth_psnr_db is not None:
            ratio = 10 ** ((base.mouth_psnr_db - ours.mouth_psnr_db) / 10)
            gain["mouth_mse"] = 100 * (1 - ratio)
        gains[name] = gain
    return gains
