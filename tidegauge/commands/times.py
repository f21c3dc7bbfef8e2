"""Times and spans as people type them."""

import re
from datetime import UTC, datetime, timedelta

from tidegauge.domain import Micros
from tidegauge.errors import UsageError

_SPAN = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_LONGEST = 36_525 * 86_400.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seconds(text: str) -> float:
    """A span such as 60s, 5m or 1h; a bare number is seconds."""
    match = _SPAN.match(text.strip())
    found = float(match[1]) * _SECONDS[match[2] or "s"] if match else 0.0
    if found <= 0:
        raise UsageError(f"{text!r} is no span of time; write 60s, 5m or 1h")
    if found > _LONGEST:
        raise UsageError(f"{text!r} is longer than a hundred years")
    return found


def micros(text: str) -> Micros:
    """An RFC 3339 time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time; write 2026-11-01T12:00:00Z") from None
    if time.tzinfo is None:
        raise UsageError(f"{text!r} has no time zone; write {time.isoformat()}Z for UTC")
    return (time - _EPOCH) // timedelta(microseconds=1)
