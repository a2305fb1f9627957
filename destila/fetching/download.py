"""One file over HTTP: it goes on where a connection was cut, and is checked before it is used."""

from __future__ import annotations

import hashlib
import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from destila.errors import DataError

log = logging.getLogger(__name__)

_CHUNK = 1 << 18
_TRIES = 5
"""Tries in a row that may bring nothing new."""
_PATIENCE = 60.0
"""Seconds without a byte after which a connection is given up."""

OnBytes = Callable[[int, int], None]
"""Called with the bytes that are here, and those there are in all (0: unknown)."""


def download(
    url: str,
    place: Path,
    checksum: str,
    *,
    on_bytes: OnBytes | None = None,
    pause: float = 1.0,
) -> None:
    """Download a file; what an earlier call left as `NAME.part` is gone on with.

    Args:
        url: of http or https.
        place: where the file goes when it is whole.
        checksum: `sha256:...` or `git:...` of the file.
        on_bytes: called with the bytes that are here and those there are; None: nothing is.
        pause: seconds before the second try; they double with every further one.

    Raises:
        DataError: it cannot be had, or is another file than the published one.
    """
    part = place.with_name(f"{place.name}.part")
    place.parent.mkdir(parents=True, exist_ok=True)
    failed, reason = 0, ""
    while failed < _TRIES:
        before = _size(part)
        if failed:
            time.sleep(pause * 2 ** (failed - 1))
        try:
            _go_on(url, part, on_bytes)
            break
        # A cut connection, a silence, a server that is busy: what is here stays here.
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise _unreachable(url, f"{error.code} {error.reason}") from error
            reason = f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            reason = f"{type(error).__name__}: {error}"
        failed = 0 if _size(part) > before else failed + 1
        log.info("%s: %s at %d bytes; trying again", url, reason, _size(part))
    else:
        raise _unreachable(url, f"{reason}; what came is kept, the same command goes on")

    # The wrong file would only show in strange scores.
    if not matches(part, checksum):
        part.unlink()
        raise DataError(
            f"{url} is another file than the published one ({checksum} was expected): nothing was "
            "kept; try again, and if it stays so, the publisher has changed it"
        )
    part.replace(place)


def matches(path: Path, checksum: str) -> bool:
    """Tell whether a file has a checksum, `sha256:...` or `git:...`."""
    kind, _, wanted = checksum.partition(":")
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(usedforsecurity=False)
    if kind == "git":
        digest.update(b"blob %d\x00" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == wanted


def _go_on(url: str, part: Path, on_bytes: OnBytes | None) -> None:
    """Download what of a file is not here yet; raise OSError or HTTPException where it is cut."""
    if not url.startswith(("https://", "http://")):
        raise DataError(f"{url}: only http and https are fetched")
    have = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "destila"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        # All of it is here already, or another file has taken its place: the checksum tells.
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        raise

    with answer:
        # A server that does not go on sends all of it again.
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if goes_on else 0
        total = have + int(answer.headers.get("Content-Length") or 0)
        with part.open("ab" if goes_on else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                if on_bytes is not None:
                    on_bytes(have, total)
    if have < total:
        raise ConnectionError(f"{have} of {total} bytes came")


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _unreachable(url: str, reason: str) -> DataError:
    """Make the error of a file that cannot be had."""
    return DataError(f"{url} cannot be fetched ({reason}): check the connection and try again")
