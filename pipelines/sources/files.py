"""Local log files: what a generation's bytes look like, and reading a planned range of them."""

import glob
import gzip
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipelines.cutter import READ_BYTES
from pipelines.sources.archives import DAMAGED, open_compressed, read_archive
from tidegauge.domain import Block, Encoding, Micros
from tidegauge.errors import SourceChanged, SourceError
from tidegauge.spelling import is_text
from tidegauge.storage.ledger import Identity

PROBE_BYTES = 4096
"""Length of the prefix and of the tail that a generation is known by."""


class Facts(NamedTuple):
    """What the file system says of a path. Times in microseconds."""

    inode: str
    size: int
    modified: Micros


def matching(pattern: str) -> tuple[list[str], dict[str, str]]:
    """Files that a source's glob names, sorted; and why not others, by the path as it can be printed."""
    found = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    misnamed = (path for path in found if not is_text(path))
    shown = (os.fsencode(path).decode(errors="backslashreplace") for path in misnamed)
    return [path for path in found if is_text(path)], dict.fromkeys(shown, "its name is not UTF-8")


def siblings(path: str) -> list[str]:
    """Files that rotation may have made of a path: the name with something behind it."""
    found = glob.glob(glob.escape(path) + "[.-]*") + _stem_siblings(path)
    return sorted(p for p in found if os.path.isfile(p) and p != path and is_text(p))


def _stem_siblings(path: str) -> list[str]:
    stem, suffix = os.path.splitext(path)
    return [p for p in glob.glob(glob.escape(stem) + "[.-]*") if suffix in p]


def facts(path: str) -> Facts | None:
    """None when there is no such file."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return Facts(f"{found.st_dev}:{found.st_ino}", found.st_size, found.st_mtime_ns // 1000)


def open_log(path: str, encoding: str) -> BinaryIO:
    """The log's bytes by offset: a rotated log is found again compressed, but its ranges count its own bytes."""
    if encoding == Encoding.ROTATED:
        return open_compressed(path)
    return Path(path).open("rb")


def length(log: BinaryIO, encoding: str) -> int:
    """Bytes that ranges can be planned in."""
    return log.seek(0, os.SEEK_END) if encoding != Encoding.ROTATED else _drain(log)


def _drain(log: BinaryIO) -> int:
    total = 0
    while data := log.read(1 << 20):
        total += len(data)
    return total


def identify(log: BinaryIO, planned_to: int) -> Identity:
    """Identity of a log planned up to an offset."""
    prefix = min(planned_to, PROBE_BYTES)
    tail = min(planned_to, PROBE_BYTES)
    return Identity(
        prefix_length=prefix,
        prefix_hash=hash_at(log, 0, prefix),
        planned_to=planned_to,
        tail_length=tail,
        tail_hash=hash_at(log, planned_to - tail, tail),
    )


def matches(path: str, encoding: str, identity: Identity) -> bool:
    """Whether the bytes at a path are still (or again) those of a generation.

    Raises SourceError for a file that is there and cannot be read: it may well be the one.
    """
    if facts(path) is None:
        return False
    try:
        with open_log(path, encoding) as log:
            return holds(log, identity)
    except (FileNotFoundError, EOFError, gzip.BadGzipFile, *DAMAGED):
        return False
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error


def holds(log: BinaryIO, identity: Identity) -> bool:
    """The same of an open log."""
    return (
        hash_at(log, 0, identity.prefix_length) == identity.prefix_hash
        and hash_at(log, identity.planned_to - identity.tail_length, identity.tail_length) == identity.tail_hash
    )


def hash_at(log: BinaryIO, start: int, size: int) -> str:
    """Hash of exactly `size` bytes; empty when the log has fewer of them, and for none at all."""
    if not size:
        return ""
    log.seek(start)
    data = b""
    while len(data) < size and (more := log.read(size - len(data))):
        data += more
    return hashlib.blake2b(data, digest_size=16).hexdigest() if len(data) == size else ""


def read_block(block: Block, identity: Identity) -> Iterator[bytes]:
    """The block's bytes in small reads. The generation is checked before and after.

    Raises SourceChanged when the bytes are not those that were planned, SourceUnfinished when a compressed stream
    does not end cleanly at the planned size, SourceError when the file cannot be read.
    """
    _check(block, identity)
    try:
        if block.encoding == Encoding.ARCHIVE:
            with Path(block.path).open("rb") as file:
                yield from read_archive(file, block.path, block.start, block.stop)
        else:
            with closing(open_log(block.path, block.encoding)) as log:
                yield from _read_range(log, block)
    except FileNotFoundError as error:
        raise SourceChanged(f"{block.path}: is gone") from error
    except OSError as error:
        raise SourceError(f"{block.path}: {error}") from error
    _check(block, identity)


def _read_range(log: BinaryIO, block: Block) -> Iterator[bytes]:
    log.seek(block.start)
    left = block.stop - block.start
    while left:
        data = log.read(min(READ_BYTES, left))
        if not data:
            raise SourceChanged(f"{block.path}: ends before byte {block.stop}, which was planned")
        # A line that is cut off is read again, which is cheaper than putting all of them together anew.
        if block.encoding == Encoding.PLAIN and (end := data.rfind(b"\n") + 1):
            log.seek(end - len(data), os.SEEK_CUR)
            data = data[:end]
        left -= len(data)
        yield data


def _check(block: Block, identity: Identity) -> None:
    if not matches(block.path, block.encoding, identity):
        raise SourceChanged(f"{block.path}: not the bytes that were planned up to {identity.planned_to}")
