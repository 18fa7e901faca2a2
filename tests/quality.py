"""`make quality`: the demo's speaker is trained and measured, and must speak well enough.

The unit tests would stay green with a mouth that never moves; this gate does not. It runs the
command that a user types, on a shorter clip, with fixed seeds, on the CPU.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LEAST_CORRELATION = 0.7
"""Of the mouth's opening with the truth's, on the held-out part."""
LEAST_LMD_GAIN = 0.30
"""Share of every baseline's landmark distance that has to be gone."""

_CLIP_S = 36


def shortfalls(evaluation: Mapping[str, Any]) -> list[str]:
    """What is not good enough, a sentence each; nothing when the gate is passed.

    Args:
        evaluation: what `pirctl evaluate --json` gives: rows with name, correlation and lmd_px.
    """
    from pirctl.evaluate.result import BASELINES

    rows = {row["name"]: row for row in evaluation["rows"]}
    ours, found = rows["ours"], []
    # Written so that what is not a number falls short too.
    if not ours["correlation"] >= LEAST_CORRELATION:
        found.append(f"correlation is {ours['correlation']:.3f}, must be {LEAST_CORRELATION}")
    for name in BASELINES:
        most = (1 - LEAST_LMD_GAIN) * rows[name]["lmd_px"]
        if not ours["lmd_px"] <= most:
            found.append(f"LMD is {ours['lmd_px']:.2f} px, must be {most:.2f} against {name}")
    return found


def main() -> int:
    """Run the demo in a new folder, which is kept where the gate fails."""
    folder = Path(tempfile.mkdtemp(prefix="pirctl-quality-"))
    command = [
        str(Path(sys.executable).with_name("pirctl")), "demo", "--folder", str(folder), "--json",
        "--quiet", "--device", "cpu", "--seconds", str(_CLIP_S), "--set", "train.seed=0",
    ]  # fmt: skip
    begun = time.monotonic()
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        print(f"quality: pirctl demo ended with status {result.returncode}")
        return 1
    report = json.loads(result.stdout)
    for row in report["evaluation"]["rows"]:
        print(
            f"{row['name']:16} correlation {row['correlation']:6.3f}  LMD {row['lmd_px']:5.2f} px"
        )
    found = shortfalls(report["evaluation"])
    for sentence in found:
        print(f"quality: {sentence}")
    print(f"quality: {'failed' if found else 'passed'} in {time.monotonic() - begun:.0f} s")
    if found:
        print(f"quality: pictures and numbers are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
