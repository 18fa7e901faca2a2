"""What became of the jobs of a batch: `report.csv` for people, `report.json` for programs."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pirctl.files import atomic_file

_OF_DUB = ("frames", "painted_frames", "copied_frames")
"""Of the report of a dubbing, what has a column of its own."""

COLUMNS = (
    "row", "state", "video", "output", "tries", "seconds", *_OF_DUB, "missed_stretches", "notes",
    "error", "hint", "log",
)  # fmt: skip
"""Of `report.csv`."""


def write_report(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write both files, each whole.

    Args:
        folder: where.
        rows: one mapping a job; `report` in it is that of the dubbing, empty where there is none.

    Raises:
        PirctlError: no space left, or no right to write there.
    """
    with atomic_file(folder / "report.json") as temporary:
        text = json.dumps(to_mapping(rows), indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    with (
        atomic_file(folder / "report.csv") as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(_flat(row) for row in rows)


def to_mapping(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The whole report as plain values: how many jobs ended how, and each job."""
    return {"states": dict(Counter(row["state"] for row in rows)), "jobs": list(rows)}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    report = row["report"]
    return {
        **row,
        **{name: report.get(name, "") for name in _OF_DUB},
        "missed_stretches": len(report["missed"]) if "missed" in report else "",
        "notes": "; ".join(report.get("notes", ())),
    }
