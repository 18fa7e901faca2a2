"""Where the source archive of a Python package lies, by the user's own settings of pip.

`pip download` of a source archive runs the package's build to learn its metadata, and nothing of
these packages is to run. So pip is only asked for its settings (`pip config list`, in which the
environment's PIP_INDEX_URL and the like count), the indexes that it names are read as PEP 503 has
them, and the file is brought by `transfer`. Wheels go through `pip download` itself.
"""

from __future__ import annotations

import ast
import base64
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import (
    BaseHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
    url2pathname,
)

from pirctl.errors import WeightsError
from pirctl.weights.client import pip_command, plain_environment

_TIMEOUT_S = 30.0
_MOST_PAGE_BYTES = 32 << 20
_STRENGTH = ("global", "download", ":env:")
_SETTING = re.compile(r"^(global|download|:env:)\.([a-z-]+)=(.+)$", re.MULTILINE)
_DEFAULT = re.compile(r"--index-url <url>.*?\(default:? ([^\s)]+)\)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Link:
    """Where a file lies.

    Attributes:
        address: https, http or file address, without user and password.
        authorization: header of that name; None: nobody is asked for.
        opener: what asks for it.
    """

    address: str
    authorization: str | None
    opener: OpenerDirector

    @property
    def path(self) -> Path | None:
        """The file on this machine; None where it lies elsewhere."""
        parts = urlsplit(self.address)
        return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def find_links(name: str, archive: str) -> list[Link]:
    """Where pip would look for a file of a package, and finds it.

    Args:
        name: of the package.
        archive: file name.

    Raises:
        WeightsError: none of the places answers, or none has the file.
    """
    settings = pip_settings()
    project = re.sub(r"[-_.]+", "-", name).lower()
    pages = [_as_address(place) for place in settings.get("find-links", [])]
    if settings.get("no-index", ["0"])[0].lower() not in {"1", "true", "yes", "on"}:
        indexes = settings.get("index-url") or [_default_index()]
        indexes = [*indexes, *settings.get("extra-index-url", [])]
        pages += [f"{_as_address(index).rstrip('/')}/{project}/" for index in indexes]
    found: list[Link] = []
    reasons: list[str] = []
    try:
        opener = _opener(settings)
    except OSError as error:
        raise WeightsError(f"the certificates that pip is set to: {error}") from error
    for page in pages:
        try:
            links = _links(page, opener)
            found += [link for link in links if _file_name(link.address) == archive]
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            reasons.append(f"{_split_user(page)[0]}: {reason}")
    if not found:
        why = reasons[-1] if reasons else "the index that pip is set to has no such file"
        raise WeightsError(
            f"{archive} could not be found for {name}: {why}",
            hint="pip config list shows the index that is asked; PIP_INDEX_URL names another",
        )
    return found


def pip_settings() -> dict[str, list[str]]:
    """What the user's pip is set to, by option; of an option given twice the stronger one.

    Raises:
        WeightsError: pip does not run.
    """
    said = _pip("config", "list")
    settings: dict[str, list[str]] = {}
    for line in sorted(_SETTING.finditer(said), key=lambda line: _STRENGTH.index(line[1])):
        with suppress(ValueError, SyntaxError):
            settings[line[2]] = str(ast.literal_eval(line[3])).split()
    return settings


def _opener(settings: Mapping[str, list[str]]) -> OpenerDirector:
    """What asks as pip would: through its proxy, with its certificates; else the environment's."""
    handlers: list[BaseHandler] = []
    if proxy := settings.get("proxy"):
        handlers.append(ProxyHandler({"http": proxy[0], "https": proxy[0]}))
    if cert := settings.get("cert"):
        handlers.append(HTTPSHandler(context=ssl.create_default_context(cafile=cert[0])))
    return build_opener(*handlers)


def _default_index() -> str:
    """The index that pip asks when it is told none; its own help says which."""
    found = _DEFAULT.search(_pip("download", "--help"))
    if found is None:
        raise WeightsError(
            "pip does not tell which index it asks", hint="name it: PIP_INDEX_URL=ADDRESS"
        )
    return found[1]


def _pip(*arguments: str) -> str:
    done = subprocess.run(
        [*pip_command(), *arguments],
        capture_output=True,
        text=True,
        env=plain_environment() | {"COLUMNS": "1000"},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise WeightsError(
            f"pip does not run: {said}", hint=f"{sys.executable} -m ensurepip brings it"
        )
    return done.stdout


def _as_address(place: str) -> str:
    """A place as pip takes it, an address or a path, as an address."""
    if re.match(r"[a-z]+://", place) or place.startswith("file:"):
        return place
    return Path(place).expanduser().absolute().as_uri()


def _file_name(address: str) -> str:
    return unquote(urlsplit(address).path).rpartition("/")[2]


def _links(page: str, opener: OpenerDirector) -> Iterator[Link]:
    """The links of a page of an index, or the files of a folder."""
    address, authorization = _split_user(page)
    local = Link(address=address, authorization=None, opener=opener).path
    if local is not None and local.is_dir() and not (local / "index.html").is_file():
        for path in sorted(local.iterdir()):
            yield Link(address=path.absolute().as_uri(), authorization=None, opener=opener)
        return
    if local is not None:
        if local.is_dir():
            address = f"{address.rstrip('/')}/index.html"
        elif not local.is_file():
            return  # An index on the disk without this package, or a folder that went.
    headers = {"Accept": "application/vnd.pypi.simple.v1+html, text/html;q=0.5"}
    request = Request(address, headers=headers)
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            text = answer.read(_MOST_PAGE_BYTES).decode("utf-8", errors="replace")
            base = answer.url
    except HTTPError as error:
        error.close()  # It holds the connection.
        if error.code == 404:
            return  # One of several indexes; that it has no such package is no fault of its.
        raise
    reader = _Anchors()
    reader.feed(text)
    host = urlsplit(address).netloc
    for reference in reader.references:
        found, own = _split_user(urldefrag(urljoin(base, reference)).url)
        if urlsplit(found).scheme == "file" and local is None:
            continue  # A page from elsewhere does not name files of this machine.
        same = authorization if urlsplit(found).netloc == host else None
        yield Link(address=found, authorization=own or same, opener=opener)


def _split_user(address: str) -> tuple[str, str | None]:
    """An address without user and password, and the header that says them."""
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return address, None
    token = base64.b64encode(unquote(user).encode()).decode("ascii")
    return parts._replace(netloc=host).geturl(), f"Basic {token}"


class _Anchors(HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.references += [value for key, value in attrs if key == "href" and value]
