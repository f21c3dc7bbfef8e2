"""Ticks as an unbounded source, until the stream is asked to stop. A slow job is not owed the ticks that it missed.

With the ticks the whole pipeline ends, on any engine: of all ways to stop one this is the one that they all know.
"""

import logging
import time
from typing import Any

from apache_beam.coders import coders
from apache_beam.io.unbounded_source import (
    CheckpointMark,
    ReadFromUnboundedSource,
    UnboundedReader,
    UnboundedSource,
)
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from pipelines.work import Settings, Tick, open_store
from tidegauge.domain import short_hash
from tidegauge.errors import StoreError
from tidegauge.storage import streams
from tidegauge.storage.store import Store

_log = logging.getLogger("tidegauge")


def ticks(settings: Settings) -> ReadFromUnboundedSource:
    """A tick every `stream.tick_seconds`, the first one at once.

    Every look at the clock is a bundle that the engine hands over and back, so there is one for a tick, and one that
    finds none.
    """
    poll = settings.config.stream.tick_seconds
    return ReadFromUnboundedSource(_Ticks(settings), poll_interval=poll, max_records_per_bundle=1)


class _Mark(CheckpointMark):
    """When the last tick was."""

    def __init__(self, last: float) -> None:
        self.last = last


class _Ticks(UnboundedSource):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def split(self, desired_num_splits: int, options: Any = None) -> list[UnboundedSource]:
        return [self]

    def create_reader(self, options: Any, checkpoint_mark: CheckpointMark | None) -> UnboundedReader:
        last = checkpoint_mark.last if isinstance(checkpoint_mark, _Mark) else 0.0
        return _Reader(self._settings, last)

    def get_checkpoint_mark_coder(self) -> coders.Coder:
        return coders.PickleCoder()

    def default_output_coder(self) -> coders.Coder:
        return coders.PickleCoder()


class _Reader(UnboundedReader):
    """Times are wall-clock seconds: a mark may come back in another process, on another host."""

    def __init__(self, settings: Settings, last: float) -> None:
        self._settings = settings
        self._seconds = settings.config.stream.tick_seconds
        self._last = last
        self._ended = False
        self._store: Store | None = None

    def start(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        now = time.time()
        if self._ended or 0 <= now - self._last < self._seconds:
            return False
        self._last = now
        self._ended = self._stops()
        return not self._ended

    def _stops(self) -> bool:
        try:
            if self._store is None:
                self._store = open_store(self._settings)
            with self._store.read() as tx:
                return streams.stops(tx, self._settings.stream)
        except StoreError as error:  # it will be back, and so will what there is to do
            _log.warning("tick: %s", error)
            return False

    def get_current(self) -> Tick:
        job = self._settings.stream
        return Tick(sweep=f"{job}:{short_hash(job, repr(self._last))}")

    def get_current_timestamp(self) -> Timestamp:
        return Timestamp(self._last)

    def get_watermark(self) -> Timestamp:
        return MAX_TIMESTAMP if self._ended else Timestamp(max(self._last, 0.0))

    def get_checkpoint_mark(self) -> _Mark:
        return _Mark(self._last)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
