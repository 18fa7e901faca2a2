"""A GPU whose memory is what a test says."""

from __future__ import annotations


class Card:
    """So many bytes free; trial steps take so many."""

    def __init__(self, free: int, taken: int) -> None:
        self.free, self.taken = free, taken
        self.started_at_free: int | None = None

    def start(self) -> None:
        self.started_at_free = self.free

    def taken_bytes(self) -> int:
        assert self.started_at_free is not None
        return self.taken

    def free_bytes(self) -> int:
        return self.free
