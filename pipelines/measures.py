"""What a process measures of its own work: for the store, which tells everybody, and for the engine's own pages."""

import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from weakref import WeakSet

from apache_beam.metrics.metric import Metrics

from evaluators.window import JudgeWindow
from tidegauge.domain import SECOND
from tidegauge.errors import StoreError
from tidegauge.storage import flow
from tidegauge.storage.flow import BOUNDS, Use
from tidegauge.storage.store import Store

NAMESPACE = "tidegauge"

_lock = threading.Lock()
_measures: dict[str, "Measures"] = {}


class Timed:
    """A piece of work that is being timed; `units` is what was done in it."""

    def __init__(self) -> None:
        self.units = 0


class Measures:
    """Histograms since they were last written to the store, and who asks judges. Any thread may use it.

    What a process measured in its last two seconds is lost if it is killed; nothing else depends on it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[tuple[str, int], list[int]] = {}
        self._told = Use()
        self._windows: WeakSet[JudgeWindow] = WeakSet()

    @classmethod
    def here(cls, store_url: str) -> "Measures":
        """Those of this process for a store."""
        with _lock:
            return _measures.setdefault(store_url, cls())

    @contextmanager
    def timed(self, kind: str) -> Iterator[Timed]:
        """Times what is done inside, unless it raises."""
        began, work = monotonic(), Timed()
        yield work
        self.observe(kind, monotonic() - began, work.units)

    def observe(self, kind: str, seconds: float, units: int = 0) -> None:
        with self._lock:
            sums = self._sums.setdefault((kind, bisect_left(BOUNDS, seconds)), [0, 0, 0])
            for place, value in enumerate((1, round(seconds * SECOND), units)):
                sums[place] += value
        Metrics.distribution(NAMESPACE, f"{kind}_ms").update(round(seconds * 1000))

    def watch(self, window: JudgeWindow) -> None:
        """Counts what the window has in flight for as long as it lives."""
        with self._lock:
            self._windows.add(window)

    @property
    def use(self) -> Use:
        with self._lock:
            open_ = [window for window in self._windows if window.at_once]
        return Use(sum(w.in_flight for w in open_), sum(w.at_once for w in open_))

    def flush(self, store: Store, owner: str) -> None:
        """Writes what is new to the store, in the owner's name. Raises StoreError, and then keeps it."""
        with self._lock:
            taken, self._sums = self._sums, {}
        names = ("observations", "total", "units")
        rows = [
            {"kind": kind, "bucket": bucket, **dict(zip(names, sums, strict=True))}
            for (kind, bucket), sums in taken.items()
        ]
        use = self.use
        if not rows and use == self._told:
            return
        try:
            with store.write() as tx:
                flow.note_use(tx, owner, use)
                flow.add_timings(tx, rows)
        except StoreError:
            self._put_back(taken)
            raise
        self._told = use

    def _put_back(self, taken: dict[tuple[str, int], list[int]]) -> None:
        with self._lock:
            for key, sums in taken.items():
                kept = self._sums.setdefault(key, [0, 0, 0])
                for place, value in enumerate(sums):
                    kept[place] += value


def count(name: str, amount: int) -> None:
    """A counter on the engine's pages."""
    if amount:
        Metrics.counter(NAMESPACE, name).inc(amount)
