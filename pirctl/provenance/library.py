"""The C2PA library, set to work without a network, and its errors in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pirctl.errors import PirctlError

if TYPE_CHECKING:
    import c2pa

_Result = TypeVar("_Result")

WITHOUT = "--no-provenance writes the video without a manifest"

# What a signing certificate may be meant for: C2PA claims, documents, e-mail. Without a list the
# library takes the last one alone.
_USES = ("1.3.6.1.4.1.62558.2.1", "1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.4")
# More than this of a file goes to a temporary file; docs/provenance.md has what was measured.
_MEMORY_MB = 32


def settings(anchors: str = "") -> dict[str, Any]:
    """The library's settings: nothing is fetched, nothing is added that we did not say.

    Args:
        anchors: certificates in PEM that are trusted to vouch for others.
    """
    automatic = ("auto_created_action", "auto_opened_action", "auto_placed_action")
    chosen: dict[str, Any] = {
        "version": 1,
        "verify": {
            "verify_after_sign": False,  # `mark` reads the file back itself.
            "ocsp_fetch": False,
            "remote_manifest_fetch": False,
        },
        "core": {"backing_store_memory_threshold_in_mb": _MEMORY_MB, "allowed_network_hosts": []},
        "builder": {
            "thumbnail": {"enabled": False},
            "actions": {name: {"enabled": False} for name in automatic},
        },
    }
    chosen["trust"] = {"trust_config": "\n".join(_USES)}
    if anchors:
        chosen["trust"]["user_anchors"] = anchors
    return chosen


@contextmanager
def context(anchors: str = "", signer: c2pa.Signer | None = None) -> Iterator[c2pa.Context]:
    """A context of the library for the length of the block; it takes the signer over."""
    import c2pa

    with c2pa.Context.from_dict(settings(anchors), signer) as made:
        yield made


def said(error: Exception) -> str:
    """What an error of the library says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def signing_errors(what: str) -> Iterator[None]:
    """Turn the library's refusal to sign `what` into words.

    Raises:
        PirctlError: with what the library said.
    """
    import c2pa

    try:
        yield
    except c2pa.C2paError as error:
        raise PirctlError(f"{what} could not be signed: {said(error)}", hint=WITHOUT) from error


def undisturbed(work: Callable[[], _Result]) -> _Result:
    """Run `work` in a thread of its own.

    The library reads and writes through callbacks, and Python would raise Ctrl-C inside of one,
    where it is lost. Here it waits until the work is done.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="pirctl-c2pa") as pool:
        return pool.submit(work).result()
