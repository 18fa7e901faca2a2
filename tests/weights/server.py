"""A real HTTP server on the loopback whose answers a test scripts, and an entry it serves."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pirctl.weights.entry import WeightsEntry

CONTENT = bytes(range(256)) * 6000  # 1.5 MB: several reads
TAG = '"v1"'


def toy_entry(**changes: object) -> WeightsEntry:
    """A model file `toy` that holds `CONTENT`."""
    facts: dict[str, object] = {
        "name": "toy",
        "used_for": "tests",
        "needed_by": ("tests",),
        "licence": "none",
        "licence_url": "https://none",
        "file": "toy.bin",
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    return WeightsEntry(**(facts | changes))  # type: ignore[arg-type]


@dataclass
class Site:
    """What the server gives, and what it was asked.

    Attributes:
        port: where it listens.
        content: the whole file.
        tag: its ETag; None: none.
        paths: where the file is.
        ranges: whether Range is understood.
        cut_after: bytes after which connections are cut, one entry per connection; the
            connections after these are whole.
        announced: Content-Length of a whole answer; None: the truth; "": none is sent.
        statuses: error statuses of the next answers, before anything else.
        redirects: where the first address redirects to.
        refuses_ranges: whether every Range is answered with 416.
        waits_for: an event before which no body is sent.
        asked: the headers of each request, with the path under "path".
    """

    port: int = 0
    content: bytes = CONTENT
    tag: str | None = TAG
    paths: tuple[str, ...] = ("/files/toy.bin",)
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    announced: str | None = None
    statuses: list[int] = field(default_factory=list)
    redirects: str | None = None
    refuses_ranges: bool = False
    waits_for: threading.Event | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def entry(self, **changes: object) -> WeightsEntry:
        return toy_entry(**({"url": f"{self.address}/files/toy.bin"} | changes))


@contextmanager
def site() -> Iterator[Site]:
    served = Site()
    with serving(_handler(served)) as served.port:
        yield served


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[int]:
    """A server on the loopback while the block runs; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def _handler(served: Site) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.asked.append({"path": self.path, **dict(self.headers.items())})
            self.close_connection = True
            if served.statuses:
                return self.fail(served.statuses.pop(0))
            # A proxy is asked with the whole address.
            if re.sub(r"^http://[^/]+", "", self.path) not in served.paths:
                return self.fail(404)
            if served.redirects and self.path == served.paths[0]:
                return self.fail(302, {"Location": served.redirects})
            start = self.start()
            if start is not None and served.refuses_ranges:
                return self.fail(416)
            if start is not None and start >= len(served.content):
                return self.fail(416, {"Content-Range": f"bytes */{len(served.content)}"})
            body = served.content[start or 0 :]
            self.send_response(200 if start is None else 206)
            if start is not None:
                last = len(served.content) - 1
                span = f"bytes {start}-{last}/{len(served.content)}"
                self.send_header("Content-Range", span)
            length = str(len(body))
            if start is None and served.announced is not None:
                length = served.announced
            if length:
                self.send_header("Content-Length", length)
            if served.tag:
                self.send_header("ETag", served.tag)
            self.send_header("Connection", "close")
            self.end_headers()
            self.give(body)
            return None

        def start(self) -> int | None:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if asked is None or not served.ranges:
                return None
            if self.headers.get("If-Range") not in {None, served.tag}:
                return None
            return int(asked[1])

        def give(self, body: bytes) -> None:
            if served.waits_for is not None:
                served.waits_for.wait(10)
            if not served.cut_after:
                self.wfile.write(body)
                return
            self.wfile.write(body[: served.cut_after.pop(0)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

        def fail(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler
