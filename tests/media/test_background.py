"""Threads with bounded queues: order, bounds, errors, and no thread left over."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from pirctl.media.background import prefetch, write_behind


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("pirctl")}


def test_prefetch_keeps_the_order() -> None:
    assert list(prefetch(iter(range(50)), 3)) == list(range(50))
    assert not _threads()


def test_prefetch_stays_within_its_depth() -> None:
    produced = []

    def source():
        for number in range(100):
            produced.append(number)
            yield number

    with closing(prefetch(source(), 3)) as items:
        next(items)
        time.sleep(0.2)
        # One handed over, three in the queue, one waiting to be queued.
        assert len(produced) <= 5
    assert not _threads()


def test_prefetch_raises_the_source_s_error_after_the_good_items() -> None:
    def source():
        yield 1
        raise OSError("broken")

    items = prefetch(source(), 3)
    assert next(items) == 1
    with pytest.raises(OSError, match="broken"):
        next(items)
    assert not _threads()


def test_closing_prefetch_early_closes_the_source() -> None:
    closed = threading.Event()

    def source():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = prefetch(source(), 2)
    next(items)
    items.close()
    assert closed.is_set()
    assert not _threads()


def test_write_behind_writes_everything_in_order() -> None:
    written = []
    with write_behind(written.append, 2) as write:
        for number in range(20):
            write(number)
    assert written == list(range(20))
    assert not _threads()


def test_write_behind_raises_the_writer_s_error() -> None:
    def fail(item: int) -> None:
        raise OSError(f"no room for {item}")

    def run() -> None:
        with write_behind(fail, 2) as write:
            for number in range(100):
                write(number)

    with pytest.raises(OSError, match="no room for 0"):
        run()
    assert not _threads()


def test_write_behind_drops_what_is_queued_when_the_block_fails() -> None:
    def run() -> None:
        with write_behind(lambda item: time.sleep(0.01), 2) as write:
            write(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert not _threads()
