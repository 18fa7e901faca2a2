"""Named members out of an archive that nobody vouches for.

Only the members asked for are read, as plain files, up to a bound, and written where the caller
says: no name in the archive becomes a path, no link is followed, nothing else is unpacked.
"""

from __future__ import annotations

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from pirctl.errors import WeightsCorrupt

_CHUNK_BYTES = 1 << 20
_MOST_EXPANSION = 20
"""Times its own size that a tar archive may have in other members, which are passed over: what
grows a thousandfold is made to fill a memory or an hour."""
_SLACK_BYTES = 1 << 20
"""For the padding and the headers of a small archive."""

_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError,
    EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError, OverflowError,
)  # fmt: skip

OnBytes = Callable[[int], None]


class _ArchiveError(Exception):
    """What is wrong with an archive, in words that follow its name."""


def extract(archive: Path, wanted: Mapping[str, tuple[Path, int]], on_bytes: OnBytes) -> None:
    """Write members of a zip or tar.gz archive as files.

    Args:
        archive: the archive; wheels are zip archives.
        wanted: by the member's name in the archive, where it is to be written and how many bytes
            it may have.
        on_bytes: receives the count of the bytes just written.

    Raises:
        WeightsCorrupt: it is no archive, a member is not in it or no plain file, or has more bytes.
    """
    is_zip = archive.suffix in {".whl", ".zip"}
    try:
        with _damage_told():
            (_extract_zip if is_zip else _extract_tar)(archive, wanted, on_bytes)
    except _ArchiveError as error:
        raise WeightsCorrupt(f"{archive.name} {error}") from error


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise _ArchiveError(f"is damaged: {error or type(error).__name__}") from error
    except OSError as error:
        if error.errno is not None:  # The disk, not the archive.
            raise
        raise _ArchiveError(f"is damaged: {error}") from error


def _extract_zip(archive: Path, wanted: Mapping[str, tuple[Path, int]], on_bytes: OnBytes) -> None:
    with zipfile.ZipFile(archive) as content:
        for member, (to, most_bytes) in wanted.items():
            try:
                about = content.getinfo(member)
            except KeyError:
                raise _ArchiveError(f"has no {member}") from None
            # 0: made on a system that notes no kind of file.
            kind = stat.S_IFMT(about.external_attr >> 16)
            if about.is_dir() or kind not in {0, stat.S_IFREG}:
                raise _ArchiveError(f"has no plain file {member}")
            _check_size(member, about.file_size, most_bytes)
            with content.open(about) as source:
                _copy(member, source, to, most_bytes, on_bytes)


def _extract_tar(archive: Path, wanted: Mapping[str, tuple[Path, int]], on_bytes: OnBytes) -> None:
    missing = dict(wanted)
    asked_bytes = sum(most for _, most in wanted.values())
    most_bytes = _SLACK_BYTES + asked_bytes + _MOST_EXPANSION * archive.stat().st_size
    with gzip.open(archive) as unzipped:
        stream = cast(IO[bytes], _Bounded(cast(IO[bytes], unzipped), most_bytes))
        with tarfile.open(fileobj=stream, mode="r|", errorlevel=2) as content:
            for about in content:
                if about.name not in missing:
                    continue
                to, most = missing.pop(about.name)
                source = content.extractfile(about) if about.isreg() else None
                if source is None:
                    raise _ArchiveError(f"has no plain file {about.name}")
                _check_size(about.name, about.size, most)
                _copy(about.name, source, to, most, on_bytes)
                if not missing:
                    return
    raise _ArchiveError(f"has no {', '.join(missing)}")


class _Bounded:
    """A stream that ends in an error once it gave more bytes than it may."""

    def __init__(self, source: IO[bytes], most_bytes: int) -> None:
        self._source = source
        self._left = most_bytes

    def read(self, count: int) -> bytes:
        content = self._source.read(min(count, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise _ArchiveError("unpacks to much more than its size")
        return content


def _check_size(member: str, size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise _ArchiveError(f"has {size} bytes in {member}, not {most_bytes}")


def _copy(member: str, source: IO[bytes], to: Path, most_bytes: int, on_bytes: OnBytes) -> None:
    written = 0
    with to.open("wb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            _check_size(member, written, most_bytes)  # The announced size may be a lie.
            file.write(chunk)
            on_bytes(len(chunk))
