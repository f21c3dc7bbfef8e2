"""Ticks without end, as an unbounded source. A slow job is not owed the ticks that it missed."""

import time
from typing import Any

from apache_beam.coders import coders
from apache_beam.io.unbounded_source import (
    CheckpointMark,
    ReadFromUnboundedSource,
    UnboundedReader,
    UnboundedSource,
)
from apache_beam.utils.timestamp import Timestamp

from pipelines.work import Tick
from tidegauge.domain import short_hash

_LONGEST_POLL = 0.25  # seconds between two looks at the clock


def ticks(job: str, seconds: float) -> ReadFromUnboundedSource:
    """A tick every so many seconds, the first one at once."""
    poll = min(seconds / 4, _LONGEST_POLL)
    return ReadFromUnboundedSource(_Ticks(job, seconds), poll_interval=poll, max_records_per_bundle=1)


class _Mark(CheckpointMark):
    """When the last tick was."""

    def __init__(self, last: float) -> None:
        self.last = last


class _Ticks(UnboundedSource):
    def __init__(self, job: str, seconds: float) -> None:
        self._job = job
        self._seconds = seconds

    def split(self, desired_num_splits: int, options: Any = None) -> list[UnboundedSource]:
        return [self]

    def create_reader(self, options: Any, checkpoint_mark: CheckpointMark | None) -> UnboundedReader:
        last = checkpoint_mark.last if isinstance(checkpoint_mark, _Mark) else 0.0
        return _Reader(self._job, self._seconds, last)

    def get_checkpoint_mark_coder(self) -> coders.Coder:
        return coders.PickleCoder()

    def default_output_coder(self) -> coders.Coder:
        return coders.PickleCoder()


class _Reader(UnboundedReader):
    """Times are wall-clock seconds: a mark may come back in another process, on another host."""

    def __init__(self, job: str, seconds: float, last: float) -> None:
        self._job = job
        self._seconds = seconds
        self._last = last

    def start(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        now = time.time()
        if 0 <= now - self._last < self._seconds:
            return False
        self._last = now
        return True

    def get_current(self) -> Tick:
        return Tick(sweep=f"{self._job}:{short_hash(self._job, repr(self._last))}")

    def get_current_timestamp(self) -> Timestamp:
        return Timestamp(self._last)

    def get_watermark(self) -> Timestamp:
        return Timestamp(max(self._last, 0.0))

    def get_checkpoint_mark(self) -> _Mark:
        return _Mark(self._last)
