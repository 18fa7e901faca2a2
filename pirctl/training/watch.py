"""Notice that training has come apart, while there is still something to keep."""

from __future__ import annotations

import math

MEMORY = 0.98
"""Share of the old mean in the new one: some fifty steps count."""
EARLIEST = 100
"""Steps before which no mean is trusted."""
GROWTH = 10.0
"""A mean that is so many times the least one so far has not grown by chance."""


class Watch:
    """The running mean of a loss, and the least it has been."""

    def __init__(self) -> None:
        self.mean = math.nan
        self.least = math.inf
        self.seen = 0

    def see(self, loss: float) -> bool:
        """Take the loss of the next step; whether it has gone up for good."""
        self.mean = loss if math.isnan(self.mean) else MEMORY * self.mean + (1 - MEMORY) * loss
        self.seen += 1
        if self.seen < EARLIEST:
            return False
        self.least = min(self.least, self.mean)
        return self.mean > GROWTH * self.least

    def state_dict(self) -> dict[str, float]:
        """For the resume state."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on as if never stopped."""
        self.mean, self.least, self.seen = state["mean"], state["least"], int(state["seen"])
