"""Work in threads beside the main one, with queues of a few items between them.

Memory stays bounded because a full queue blocks its writer, and no thread outlives the block that
started it: not at the end, not on an error, not on Ctrl-C. The threads wait for ffmpeg or run
native code, so they really run beside the networks.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

QUEUE_FRAMES = 4
"""Frames that are decoded ahead of a consumer that takes them one by one."""

_PATIENCE_S = 0.05  # how often a blocked thread looks whether it has been told to stop
_END = object()


def prefetch(source: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield what `source` yields, produced up to `depth` items ahead in a thread.

    An exception of the source comes out of the item that it broke. Closing this generator stops
    the thread and closes the source.
    """
    items: queue.Queue[object] = queue.Queue(maxsize=max(1, depth))
    stop = threading.Event()
    failure: list[BaseException] = []

    def offer(item: object) -> bool:
        while not stop.is_set():
            try:
                items.put(item, timeout=_PATIENCE_S)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        try:
            for item in source:
                if not offer(item):
                    break
        # Nothing is swallowed: the consumer raises it.
        except BaseException as error:
            failure.append(error)
        finally:
            _close(source)
            offer(_END)

    thread = threading.Thread(target=produce, name="pirctl-prefetch", daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not _END:
            yield item  # type: ignore[misc]  # the queue carries T and the end mark
        if failure:
            raise failure[0]
    finally:
        stop.set()
        thread.join()


@contextmanager
def write_behind(write: Callable[[T], None], depth: int) -> Iterator[Callable[[T], None]]:
    """Give a function that hands items to `write`, which runs in a thread, in order.

    Leaving the block waits until everything is written; an error of `write` is raised by the
    next hand-over or at the end. When the block itself fails, what is queued is dropped.
    """
    items: queue.Queue[object] = queue.Queue(maxsize=max(1, depth))
    failure: list[BaseException] = []
    dropped = threading.Event()

    def consume() -> None:
        while (item := items.get()) is not _END:
            if failure or dropped.is_set():
                continue  # keep emptying the queue so that nobody blocks on it
            try:
                write(item)  # type: ignore[arg-type]  # the queue carries T and the end mark
            except BaseException as error:
                failure.append(error)

    def hand_over(item: T) -> None:
        if failure:
            raise failure[0]
        items.put(item)

    thread = threading.Thread(target=consume, name="pirctl-write", daemon=True)
    thread.start()
    try:
        yield hand_over
    except BaseException:
        dropped.set()
        raise
    finally:
        items.put(_END)
        thread.join()
    if failure:
        raise failure[0]


def _close(source: object) -> None:
    close = getattr(source, "close", None)
    if callable(close):
        close()
