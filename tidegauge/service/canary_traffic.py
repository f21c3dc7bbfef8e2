"""What a canary's trial has seen: the requests of both arms, and the positives that people confirmed among them."""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tidegauge.domain import HALLUCINATION, TEST_BLOCK, TESTED_TIERS, Micros
from tidegauge.slo.canary import Counts, Ints, Worsening, latency_worsening
from tidegauge.storage import histogram
from tidegauge.storage.sampling import FIVE_MINUTES
from tidegauge.storage.store import Row, Transaction


class Arms(NamedTuple):
    """Segments of both arms by their number, and the event time that is compared: all of [`since`, `until`)."""

    canary: dict[int, Row]
    control: dict[int, Row]
    deployment: str
    since: Micros
    until: Micros


class Traffic:
    """All requests of both arms, by 5-minute bucket; a late record may still change any of them."""

    def __init__(self, tx: Transaction, arms: Arms) -> None:
        self._first = arms.since // FIVE_MINUTES
        span = {"since": self._first, "until": arms.until // FIVE_MINUTES}
        sides = [_Side.read(tx, sorted(side), span) for side in (arms.canary, arms.control)]
        last = max(self._first - 1, *(side.last for side in sides))  # of an old trial the rollups may all be gone
        self._length = last - self._first + 1
        self._sides = sides
        self.canary, self.control = (side.counts(self._first, self._length) for side in sides)

    @property
    def until(self) -> Micros:
        """The end of the newest bucket with a request."""
        return (self._first + self._length) * FIVE_MINUTES

    def latency(self, alpha: float) -> Worsening:
        unpacked = [side.latencies() for side in self._sides]
        span = histogram.MAXIMUM - histogram.MINIMUM + 1
        seen = np.zeros(span, dtype=np.bool_)
        for _, table in unpacked:
            seen[table[:, 0] - histogram.MINIMUM] = True
        numbers = np.flatnonzero(seen) + histogram.MINIMUM
        column = seen.cumsum() - 1
        width = max(len(numbers), 1)
        arms = []
        for buckets, table in unpacked:
            cells = np.zeros(self._length * width, dtype=np.int64)
            np.add.at(cells, (buckets - self._first) * width + column[table[:, 0] - histogram.MINIMUM], table[:, 1])
            arms.append(cells.reshape(self._length, width))
        return latency_worsening(arms[0], arms[1], histogram.values(numbers), alpha)


class _Side(NamedTuple):
    """One arm's rows as columns."""

    buckets: Ints
    requests: Ints
    bad: Ints
    packed: list[bytes]

    @classmethod
    def read(cls, tx: Transaction, segments: list[int], span: dict[str, int]) -> "_Side":
        rows = tx.rows_in("buckets_of_segments", "segments", segments, **span)
        names = ("bucket", "requests", "bad")
        buckets, requests, bad = (np.array([row[name] for row in rows], dtype=np.int64) for name in names)
        return cls(buckets, requests, bad, [row["latency"] for row in rows])

    @property
    def last(self) -> int:
        return int(self.buckets.max(initial=-1))

    def counts(self, first: int, length: int) -> Counts:
        sums = np.zeros((2, length), dtype=np.int64)
        for row, values in zip(sums, (self.requests, self.bad), strict=True):
            np.add.at(row, self.buckets - first, values)
        return Counts(*sums)

    def latencies(self) -> tuple[Ints, Ints]:
        """Buckets, and the latencies and counts in them, one row for each pair."""
        sizes = [len(data) // histogram.PAIR_BYTES for data in self.packed]
        return np.repeat(self.buckets, sizes), histogram.unpack(b"".join(self.packed))


def positives(tx: Transaction, arms: Arms, side: Callable[[Row], bool | None]) -> list[tuple[bool, float]]:
    """Whether each confirmed positive is the canary's, and the canary's share of all that could have been it.

    Those are the samples of the tested tiers, of the same intent and the same six hours: how often the arms were
    sampled, what else they answered and when many labels were bought is no news about the canary. `side` tells whether
    a segment is the canary's; None is neither.
    """
    span = {"since": arms.since, "until": arms.until, "block": TEST_BLOCK}
    found = [
        (mine, (row["intent"], row["block"]))
        for row in tx.rows("positives_by_segment", indicator=HALLUCINATION, first=arms.since // TEST_BLOCK, **span)
        if (mine := side(row)) is not None
        for _ in range(row["positives"])
    ]
    intents = sorted({intent for _, (intent, _) in found})
    deployments = sorted({row["deployment"] for row in (*arms.canary.values(), *arms.control.values())})
    samples: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    tiers = list(TESTED_TIERS)
    for row in tx.rows_in("samples_by_segment", "deployments", deployments, intents=intents, tiers=tiers, **span):
        if (mine := side(row)) is not None:
            samples[row["intent"], row["block"]][mine] += row["samples"]
    entries = []
    for mine, place in found:
        theirs, own = samples[place]
        if own and theirs:  # else nothing to compare it with
            entries.append((mine, own / (own + theirs)))
    return entries
