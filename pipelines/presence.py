"""This process among the owners of work, for as long as a stream's transforms live in it.

The engine says neither when a worker dies nor what it lost with it. So every process that holds work beats on its own,
and says from time to time which samples it is still judging; the rest goes to others when its lease is over.
"""

import contextlib
import logging
import math
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Protocol

from pipelines.measures import Measures
from tidegauge.config import StoreSection
from tidegauge.domain import SECOND, Block, Clock
from tidegauge.errors import StoreError, TidegaugeError
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Owner
from tidegauge.storage.store import Store

_RENEW_SECONDS = ledger.LEASE / SECOND / 3
_LONGEST_SECONDS = 3600.0
"""What is held for longer was forgotten by the engine: the slowest limits of a judge make nobody wait for so long."""

_log = logging.getLogger("tidegauge")
_lock = threading.Lock()
_present: dict[tuple[str, str], "Presence"] = {}


class Holder(Protocol):
    """Somebody with samples in hand."""

    @property
    def held(self) -> dict[str, float]:
        """Ids of samples, each with the monotonic time since when."""


class Presence:
    """A row in the ledger's owners with a heartbeat."""

    def __init__(self, store_url: str, job: str, clock: Clock, section: StoreSection | None = None) -> None:
        self._store = Store(store_url, section, "stream")
        self._clock = clock
        self._holders: weakref.WeakSet[Holder] = weakref.WeakSet()
        self._read: list[Block] = []
        self._measures = Measures.here(store_url)
        self._ended = threading.Event()
        self._acted = -math.inf
        self.owner = Owner.this_process(clock.now(), job)
        self._beat()
        self._thread = threading.Thread(target=self._keep_beating, daemon=True, name="heartbeat")
        self._thread.start()

    @classmethod
    def here(cls, store_url: str, job: str, clock: Clock, section: StoreSection | None = None) -> "Presence":
        """The one of this process."""
        with _lock:
            found = _present.get((store_url, job))
            if found is None:
                found = _present[store_url, job] = cls(store_url, job, clock, section)
            return found

    def add(self, holder: Holder) -> None:
        """Samples of the holder are kept for as long as it is alive and says that it holds them."""
        self._holders.add(holder)

    @contextlib.contextmanager
    def reading(self, block: Block) -> Iterator[None]:
        """The block is kept for as long as it takes: an archive is one, and its thread is at nothing else."""
        with _lock:
            self._read.append(block)
        try:
            yield
        finally:
            with _lock:
                self._read.remove(block)

    def is_time_to_act(self, pause: float) -> bool:
        """Whether nobody of this process did for so many seconds; from now on somebody does."""
        with _lock:
            now = time.monotonic()
            if now - self._acted < pause:
                return False
            self._acted = now
            return True

    def leave(self) -> None:
        """Gives back all work; nothing that is done afterwards counts as this owner's."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(StoreError):
            self._measures.flush(self._store, self.owner.name)
        with self._store.write() as tx:
            ledger.leave(tx, self.owner)
        self._store.close()

    def _beat(self) -> None:
        with self._store.write() as tx:
            ledger.beat(tx, self.owner, self._clock.now())

    def _keep_beating(self) -> None:
        renewed = time.monotonic()
        while not self._ended.wait(ledger.HEARTBEAT / SECOND):
            try:
                self._beat()
                self._measures.flush(self._store, self.owner.name)
                if time.monotonic() - renewed >= _RENEW_SECONDS:
                    renewed = time.monotonic()
                    self.renew()
            except TidegaugeError as error:  # a missed beat must not end the worker; the next one may get through
                _log.warning("heartbeat: %s", error)

    def renew(self) -> None:
        """Says what is still in hand, whatever the engine's bundles do meanwhile."""
        now = time.monotonic()
        held = [
            name
            for holder in list(self._holders)
            for name, since in list(holder.held.items())
            if _RENEW_SECONDS / 2 <= now - since <= _LONGEST_SECONDS
        ]
        with _lock:
            read = list(self._read)
        if held or read:
            until = self._clock.now() + ledger.LEASE
            with self._store.write() as tx:
                ledger.keep_blocks(tx, self.owner.name, read, until)
                ledger.keep_samples(tx, self.owner.name, sorted(held), until)


def leave_all() -> None:
    """Ends every presence of this process, as a submitter does whose transforms ran within it."""
    with _lock:
        leaving = list(_present.values())
        _present.clear()
    for presence in leaving:  # not under the lock, which the heartbeat that each of them waits for may be about to take
        presence.leave()
