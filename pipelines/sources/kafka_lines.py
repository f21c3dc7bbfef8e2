"""Kafka records as JSON lines, and where in a partition each line came from."""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

_OBJECT = re.compile(rb"^([ \t]*\{)(?=[ \t]*(\})?)", re.MULTILINE)
_LONGEST = 256  # as every segment of a request
_PLACES = 1 << 24
"""Places of lines within a record; more bytes than a broker takes in one."""

Headers = Mapping[str, str | bytes | None] | Sequence[tuple[str, str | bytes | None]]


def whole_lines(values: Iterable[bytes | None]) -> list[bytes]:
    """Each record's value as whole lines: one request, or several with newlines between them. Without a value (a
    tombstone) a blank line.
    """
    return [value if value and value.endswith(b"\n") else (value or b"") + b"\n" for value in values]


def with_members(value: bytes | None, before: bytes) -> bytes | None:
    """A value with some members put at the begin of each object, where what the object says itself wins."""
    if not value or not before:
        return value
    return _OBJECT.sub(lambda found: found[1] + before + (b"" if found[2] else b","), value)


def members(headers: Headers | None, wanted: Mapping[str, str]) -> bytes:
    """The wanted headers as members of a JSON object, by field; what could not be a segment's value is left out."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    texts = {name: _text(name, value) for name, value in pairs}
    found = {field: texts[name] for field, name in wanted.items() if texts.get(name)}
    return json.dumps(found, ensure_ascii=False)[1:-1].encode()


def _text(name: str, value: bytes | str | None) -> str:
    try:
        text = value.decode() if isinstance(value, bytes) else value or ""
    except UnicodeDecodeError:
        return ""
    if name.lower() == "traceparent":  # W3C: version-trace-parent-flags
        text = text.partition("-")[2].partition("-")[0]
    return text if len(text) <= _LONGEST and "\0" not in text else ""


class Index:
    """Where each record's lines begin in what was read of a block."""

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._offsets: list[int] = []
        self._size = 0

    def extend(self, offsets: Iterable[int], lines: Iterable[bytes]) -> None:
        """The next records, and the lines of each."""
        self._offsets += offsets
        *begins, self._size = accumulate(map(len, lines), initial=self._size)
        self._begins += begins

    def place(self, start: int) -> int:
        """A number for the line that begins at byte `start`, unique in its partition: its record's offset times 2^24,
        plus the byte within the record.
        """
        at = bisect_right(self._begins, start) - 1
        return self._offsets[at] * _PLACES + min(start - self._begins[at], _PLACES - 1)
