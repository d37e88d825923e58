"""Fetching public archives: resumable, checked, and never half in place."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import os
import secrets
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from .limits import refuse_larger

_BLOCK = 1 << 16  # bytes read at a time
_TRIES = 4  # per address, each going on where the last one stopped
_TIMEOUT = 30.0  # seconds without a byte
_PAUSE = 0.5  # seconds before the second try, doubled each time


class DownloadError(RuntimeError):
    """A file that could not be had from any of its addresses."""


def fetch(urls: Sequence[str], target: Path, md5: str | None = None, sha256: str | None = None) -> Path:
    """Make sure that `target` holds the file with this checksum, downloading it if need be.

    The bytes go to `target` + ".part"; an interrupted download goes on from there (HTTP Range), now or in a
    later run. Only a whole file with the right checksum is moved to `target`, so what has that name is
    complete.

    Args:
        urls: addresses of the same file, tried in order.
        md5, sha256: the checksum expected, in hexadecimal.
    Raises:
        DownloadError: no address gave the file, or what they gave is not the file; says what to do by hand.
    """
    expected = ("md5", md5) if md5 else ("sha256", sha256)
    if target.is_file():
        found = checksum(target, expected[0])
        if expected[1] in (None, found):
            return target
        raise DownloadError(
            f"{target} is damaged or another file: its {expected[0]} is {found}, expected {expected[1]}. "
            "Delete it and try again."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    problems: list[str] = []
    for url in urls:
        # A part left by an earlier run may be of another file; if the whole turns out wrong, it is got once
        # more from zero.
        for _ in range(2 if part.exists() else 1):
            try:
                _transfer(url, part)
            except (OSError, http.client.HTTPException) as error:
                problems.append(f"{url}: {_reason(error)}")
                break
            found = checksum(part, expected[0])
            if expected[1] in (None, found):
                os.replace(part, target)
                return target
            part.unlink()
            problems.append(
                f"{url}: the file came with {expected[0]} {found}, expected {expected[1]}; it was thrown away"
            )
    raise DownloadError(
        f"could not get {target.name}.\n  " + "\n  ".join(problems) + "\n"
        "If this machine is offline, get the file from one of the addresses on another one and put it at "
        f"{target}"
    )


def checksum(path: Path, kind: str) -> str:
    """The checksum of a file in hexadecimal; `kind` is "md5" or "sha256"."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _transfer(url: str, part: Path) -> None:
    """Bring `part` to the length the server tells, over several tries. Raises what the last one raised."""
    for attempt in range(_TRIES):
        try:
            _one_try(url, part)
            return
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == _TRIES - 1:
                raise
        except (OSError, http.client.HTTPException):
            if attempt == _TRIES - 1:
                raise
        time.sleep(_PAUSE * 2**attempt)


def _one_try(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(
        url, headers={"User-Agent": "minigrad", **({"Range": f"bytes={have}-"} if have else {})}
    )
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            return  # nothing follows what we have: it is whole, or of another file, and the checksum will tell
        raise
    with response:
        resumed = response.status == 206 and str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-")
        if response.status == 206 and not resumed:
            part.unlink(missing_ok=True)
            raise ConnectionError(f"the server answered with another range: {response.headers.get('Content-Range')}")
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        _copy(response, part, start, total)


def _copy(response: Any, part: Path, start: int, total: int | None) -> None:
    from tqdm import tqdm

    name = part.name.removesuffix(".part")
    with (
        open(part, "ab" if start else "wb") as out,
        tqdm(total=total, initial=start, unit="B", unit_scale=True, unit_divisor=1024, desc=name) as bar,
    ):
        while block := response.read(_BLOCK):
            out.write(block)
            bar.update(len(block))
        end = out.tell()
    if total is not None and end < total:
        raise ConnectionError(f"the connection ended after {end} of {total} bytes")


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return f"{type(error).__name__}: {inner}"


def extract(archive: Path, members: Sequence[str], folder: Path) -> None:
    """Take the named files out of a .tar.gz and put them into `folder`, all of them or none.

    Only regular files with exactly these names are read; their bytes are written under their last name by us,
    so nothing in the archive (links, absolute paths, "..", devices, modes) can reach outside the folder.
    Raises ValueError, leaving nothing behind, for a damaged archive, one without a member, or one that unpacks to more
    than any of the data sets' files.
    """
    draft = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}.part")
    draft.mkdir(parents=True)
    try:
        with _opened(archive) as files:
            for entry, source in files:
                if entry.name.removeprefix("./") in members:
                    with open(draft / Path(entry.name).name, "wb") as out:
                        shutil.copyfileobj(source, out)
        missing = [name for name in members if not (draft / Path(name).name).is_file()]
        if missing:
            raise ValueError(f"{archive} does not hold {', '.join(missing)}; delete it and get it again")
        folder.mkdir(exist_ok=True)
        for name in members:
            os.replace(draft / Path(name).name, folder / Path(name).name)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(draft)


def sizes_in(archive: Path) -> dict[str, int]:
    """The size of each file in a .tar.gz, by its name. Raises ValueError for a damaged one."""
    with _opened(archive) as files:
        return {entry.name.removeprefix("./"): entry.size for entry, _ in files}


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """The regular files of a .tar.gz, each to be read before the next is asked for. Damage becomes a ValueError."""
    try:
        with gzip.open(archive) as unpacked:
            yield _files_in(_Bounded(unpacked, archive))
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, RecursionError) as error:
        raise ValueError(f"{archive} is damaged ({error}); delete it and get it again") from None


def _files_in(raw: Any) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    with tarfile.open(fileobj=raw, mode="r|") as tar:
        for entry in tar:
            source = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
            if source is not None:
                yield entry, source
    while raw.read(1 << 20):  # to the end, where gzip's own checksum stands
        pass


class _Bounded:
    """What is read from a file, up to a bound."""

    def __init__(self, file: Any, archive: Path) -> None:
        self._file = file
        self._archive = archive
        self._size = 0

    def read(self, size: int) -> bytes:
        block: bytes = self._file.read(size)
        self._size += len(block)
        refuse_larger(self._archive, self._size, "unpacks to at least")
        return block
