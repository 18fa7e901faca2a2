"""What the scores mean, in a sentence that somebody who dubs can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pirctl.evaluate.intervals import is_within_noise
from pirctl.evaluate.result import BASELINES

_SHARP, _SOFT, _FLICKERS, _SEAM, _LEAKS = 1.4, 0.7, 1.5, 1.25, 0.25


def verdict(scores: Mapping[str, Any]) -> str:
    """Tell whether a result can be shown, and what is weak about it.

    Args:
        scores: the content of `scores.json`.
    """
    rows = {row["name"]: row for row in scores["rows"]}
    ours = rows["ours"]
    alike = [
        name
        for name in BASELINES
        if is_within_noise(scores["differences"].get(name, {}).get("lmd_px"))
        or ours["lmd_px"] >= rows[name]["lmd_px"]
    ]
    if not alike:
        said = (
            "The lips follow the speech: they are nearer to the truth than those of every baseline."
        )
    elif "wrong speech" in alike:
        said = "The lips do not follow the speech: other speech would do as well. Do not show it."
    else:
        said = (
            "The lips follow the speech a little: within noise they are no nearer to the truth "
            f"than the {' and the '.join(alike)}."
        )
    faults = list(_faults(rows, float(scores["leak"])))
    return said if not faults else f"{said} Look closely: {', '.join(faults)}."


def _faults(rows: Mapping[str, Mapping[str, Any]], leak: float) -> list[str]:
    ours, told = rows["ours"], rows.get("true expression", rows["ours"])

    def value(row: Mapping[str, Any], name: str, default: float = 1.0) -> float:
        found = row.get(name)
        return default if found is None else float(found)

    faults = []
    if value(told, "sharpness") < _SOFT:
        faults.append("the mouth is softer than the footage")
    if value(told, "sharpness") > _SHARP:
        faults.append("the mouth is sharper than the footage")
    if value(ours, "flicker") > _FLICKERS:
        faults.append("the mouth flickers")
    if value(ours, "seam") > _SEAM:
        faults.append("the edge of the mask shows")
    if leak > _LEAKS:
        faults.append("the original mouth shows through where nobody speaks")
    return faults
