"""The numbers of a training run, step by step: `log.jsonl` in the stage's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pirctl.files import atomic_file


class TrainingLog:
    """log.jsonl: one object per line, appended as training goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[dict[str, float]] = []
        self._sums: dict[str, float] = {}
        self._count = 0

    def open(self, step: int) -> None:
        """Start anew, or keep the lines up to `step` when training continues there."""
        if step and self.path.is_file():
            for text in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    line = json.loads(text)
                except ValueError:  # The last line of a run that was killed.
                    continue
                if line.get("step", step + 1) <= step:
                    self._lines.append(line)
        with atomic_file(self.path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in self._lines))

    def add(self, terms: Mapping[str, float]) -> None:
        """Count in the losses of one step."""
        self._count += 1
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def write(self, **values: float) -> None:
        """Write a line: `values`, and the means of the losses since the line before."""
        means = {name: value / self._count for name, value in self._sums.items()}
        line = {**values, "loss": sum(means.values()), **means}
        self._lines.append(line)
        self._sums, self._count = {}, 0
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """(step, mean) points of every loss."""
        beside = {"step", "epoch", "learning_rate", "seconds", "loss"}
        points: dict[str, list[tuple[float, float]]] = {}
        for line in self._lines:
            for name, value in line.items():
                if name not in beside:
                    points.setdefault(name, []).append((line["step"], value))
        return points
