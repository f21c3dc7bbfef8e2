"""Compressed files that are, or are becoming, copies of a log that is known: a line counts once.

gzip and zstd write beside the log and remove it at the end, and a look may come at any time between. What a compressed
file gives so far is compared with the log: while all of it agrees the file waits. Once the log is gone the planner
finds the file in its place; for as long as both stay the log is read, and the file is not.
"""

import gzip
import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from pipelines.sources import files
from pipelines.sources.archives import DAMAGED, is_compressed, open_compressed
from pipelines.sources.files import PROBE_BYTES
from tidegauge.domain import Encoding
from tidegauge.storage.ledger import Generation

_STEP = 1 << 20
_REMEMBERED = 10_000
"""Comparisons whose outcome is kept: files that both stay are not read at each look."""
_BROKEN = (EOFError, gzip.BadGzipFile, OSError, *DAMAGED)
"""What reading a stream that is not finished, or damaged, may raise."""


def original(path: str, live: Sequence[Generation], gone: Sequence[Generation], at_rest: bool) -> str | None:
    """The path of the log whose copy a compressed file may be; None where it is a log of its own.

    `live` lie where they say, `gone` are those that were read before. `at_rest`: nobody writes the file any more.
    """
    found = files.facts(path)
    if found is None or not is_compressed(path):
        return None
    written = f"{found.inode}:{found.size}:{found.modified}"
    for other in sorted(live, key=lambda other: not path.startswith(other.path)):  # its name says most often which
        if other.encoding != Encoding.PLAIN or other.path == path:
            continue
        there = files.facts(other.path)
        try:
            if there is None or _agrees(path, written, other.path, f"{there.inode}:{other.generation}", at_rest):
                return other.path  # one that has gone since the look began is looked for by the next
        except FileNotFoundError:
            return other.path
    for other in gone:
        if other.encoding in (Encoding.PLAIN, Encoding.ROTATED) and _continues(path, written, other, at_rest):
            return other.path
    return None


@lru_cache(maxsize=_REMEMBERED)
def _agrees(path: str, _written: str, log: str, _which: str, at_rest: bool) -> bool:
    """Whether all that comes out of the file so far is in the log. A log only grows, so that this is asked once."""
    with Path(log).open("rb") as other:
        size, broken = _walk(path, lambda data: other.read(len(data)) == data)
    return size > 0 or (broken and not at_rest)


@lru_cache(maxsize=_REMEMBERED)
def _continues(path: str, _written: str, log: Generation, at_rest: bool) -> bool:
    """The same of a log of which only the hash of its begin is left: whether no more than that is there, or not yet."""
    known = log.identity
    named = path.startswith(log.path)
    if not known.prefix_length or (not named and known.prefix_length < PROBE_BYTES):
        return False
    begin, broken = _begin(path, known.prefix_length)  # alone at first: there may be many logs, and much in the file
    if len(begin) < known.prefix_length:
        return broken and not at_rest and named
    if files.hash_at(io.BytesIO(begin), 0, known.prefix_length) != known.prefix_hash:
        return False
    size, broken = _walk(path, lambda _: True)
    return (broken and not at_rest) or (not broken and size < known.planned_to)


def _begin(path: str, length: int) -> tuple[bytes, bool]:
    """The first bytes that come out of the file, and whether its end is missing if there are fewer."""
    begin = b""
    try:
        with open_compressed(path) as stream:
            while len(begin) < length and (data := _some(stream)):
                begin += data
    except _BROKEN:
        return begin, True
    return begin, not begin


def _walk(path: str, same: Callable[[bytes], bool]) -> tuple[int, bool]:
    """Bytes that come out of the file, -1 where they are not the same, and whether its end is missing."""
    size = 0
    try:
        with open_compressed(path) as stream:
            while data := _some(stream):
                if not same(data):
                    return -1, False
                size += len(data)
    except _BROKEN:
        return size, True
    return size, not size  # Zstandard says nothing of a stream that has only begun


def _some(stream: BinaryIO) -> bytes:
    """What there is, also of a stream that breaks off: gzip gives back nothing of a read that fails."""
    return stream.read1(_STEP) if hasattr(stream, "read1") else stream.read(PROBE_BYTES)
