"""Cuts a stream of bytes into pieces of whole lines, in bounded memory."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

READ_BYTES = 256 << 10
"""Size of one read: stays in the processor's cache, which larger reads do not."""

MAX_LINE = 8 << 20
"""Longest line that is parsed, in bytes without its newline."""

HEAD_BYTES = 16 << 10
"""How much of an overlong line is kept."""


class Lines(NamedTuple):
    """Whole lines, each with its newline but perhaps the stream's last; `start` counts from the stream's begin."""

    start: int
    data: bytes


class LongLine(NamedTuple):
    """A line over the limit: its first bytes and the hash of all of it, newline excluded."""

    start: int
    length: int
    sha256: str
    head: bytes


def cut(reads: Iterable[bytes], max_line: int = MAX_LINE) -> Iterator[Lines | LongLine]:
    """Pieces whose bytes, in order, are the bytes of `reads`; no line stands in two pieces."""
    start, carry = 0, b""
    long_line: _LongLine | None = None
    for data in reads:
        rest = data
        if long_line is not None:
            end = rest.find(b"\n")
            long_line.feed(rest if end < 0 else rest[:end])
            if end < 0:
                continue
            yield long_line.finish()
            start, rest, long_line = start + long_line.length + 1, rest[end + 1 :], None
        first = rest.find(b"\n")
        if len(carry) + (first if first >= 0 else len(rest)) > max_line:
            long_line = _LongLine(start, carry)
            carry = b""
            long_line.feed(rest if first < 0 else rest[:first])
            if first < 0:
                continue
            yield long_line.finish()
            start, rest, long_line = start + long_line.length + 1, rest[first + 1 :], None
        end = rest.rfind(b"\n") + 1
        if end:
            whole = not carry and end == len(rest)
            lines = rest if whole else b"".join((carry, memoryview(rest)[:end]))
            yield Lines(start, lines)
            start, carry = start + len(lines), rest[end:]
        else:
            carry += rest
    if long_line is not None:
        yield long_line.finish()
    elif carry:
        yield Lines(start, carry)


class _LongLine:
    def __init__(self, start: int, carry: bytes) -> None:
        self.start = start
        self.length = 0
        self.head = b""
        self._hash = hashlib.sha256()
        self.feed(carry)

    def feed(self, data: bytes) -> None:
        self.length += len(data)
        self.head += data[: HEAD_BYTES - len(self.head)]
        self._hash.update(data)

    def finish(self) -> LongLine:
        return LongLine(self.start, self.length, self._hash.hexdigest(), self.head)
