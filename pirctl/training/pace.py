"""How long a stage will still take, from steps that were measured.

Steps are not all alike: the audio stage feeds on its own output towards the end, frame by frame,
and the render stage adds its discriminators. So the steps before and after the change are timed
apart; the later ones by a few trial steps before the training begins.
"""

from __future__ import annotations

_WARM_UP_STEPS = 3  # The first of their kind: memory is taken, kernels are chosen.
_FEW_STEPS = 5
_KEPT = 0.99  # Of the weight of older steps at each new one: a shared machine changes its speed.


class Pace:
    """Seconds per step before and after the change, and what is left.

    Args:
        steps: steps of the whole stage.
        change: number of the first step of the later kind; 0 or `steps`: all are alike.
    """

    def __init__(self, steps: int, change: int) -> None:
        self.steps = steps
        self.change = min(max(change, 0), steps)
        self._trial_s: list[float | None] = [None, None]
        self._seen = [0, 0]
        self._seconds = [0.0, 0.0]
        self._weight = [0.0, 0.0]

    def kinds_left(self, step: int) -> list[int]:
        """A step number of every kind of step from `step` on, the nearest first."""
        kinds = [step] if step < self.steps else []
        return kinds + [self.change] * (step < self.change < self.steps)

    def tried(self, step: int, seconds: float) -> None:
        """A trial of step number `step` took this long."""
        self._trial_s[self._kind(step)] = seconds

    def took(self, step: int, seconds: float) -> None:
        """Step number `step` took this long, with all that was done beside it."""
        kind = self._kind(step)
        self._seen[kind] += 1
        if self._seen[kind] > _WARM_UP_STEPS:
            self._seconds[kind] = _KEPT * self._seconds[kind] + seconds
            self._weight[kind] = _KEPT * self._weight[kind] + 1

    def left_s(self, step: int) -> float | None:
        """Seconds that the steps from number `step` on will take; None: nothing is known yet."""
        before = max(0, self.change - step)
        after = self.steps - max(step, self.change)
        left = 0.0
        for kind, count in enumerate((before, after)):
            if count:
                each = self._step_s(kind)
                if each is None:
                    return None
                left += count * each
        return left

    def _kind(self, step: int) -> int:
        return int(step >= self.change)

    def _measured_s(self, kind: int) -> float | None:
        if self._seen[kind] < _WARM_UP_STEPS + _FEW_STEPS:
            return None
        return self._seconds[kind] / self._weight[kind]

    def _step_s(self, kind: int) -> float | None:
        measured, trial = self._measured_s(kind), self._trial_s[kind]
        if measured is not None:
            return measured
        other, other_trial = self._measured_s(1 - kind), self._trial_s[1 - kind]
        if trial is not None and other is not None and other_trial:
            # What the trial left out, and what slows the machine, holds for both kinds.
            return trial * other / other_trial
        return trial if trial is not None else other
