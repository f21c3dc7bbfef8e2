"""Rolls requests up: every valid one, in integers that add exactly in any order.

Per record two tuples of names become two integers; everything after that is arrays.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from pipelines.records import Line
from pipelines.sampling import Sampler
from tidegauge.domain import DAY, SECOND, TEST_BLOCK, TESTED_TIERS, Deployment
from tidegauge.prices import Prices
from tidegauge.storage import histogram
from tidegauge.storage.commits import RollupRows
from tidegauge.storage.histogram import Floats, Ints
from tidegauge.storage.sampling import FIVE_MINUTES

BATCH = 8192
"""Records that are held as lists before they become arrays."""

Names = tuple[Any, ...]

route_of = attrgetter(
    "intent",
    "feature",
    "model_version",
    "prompt_version",
    "retrieval_index",
    "cohort",
    "experiment",
    "served_by",
    "status",
)
payer_of = attrgetter("tenant", "provider")
numbers_of = attrgetter("input_tokens", "output_tokens", "cost_usd", "latency_ms", "retrieval_latency_ms", "feedback")
time_of = attrgetter("timestamp")
id_of = attrgetter("request_id")


class Route(NamedTuple):
    """What one combination of names, all but tenant and provider, stands for."""

    intent: str
    deployment: Deployment
    deployment_id: str
    segment: tuple[str, ...]
    """intent, feature, deployment, cohort, experiment, served_by"""


class Numbering(dict[Names, int]):
    """Numbers combinations of names as they come."""

    def __init__(self, describe: Callable[[Names], None]) -> None:
        super().__init__()
        self._describe = describe
        self.forbidden: set[int] = set()
        """Numbers of combinations with a NUL in a name, which no store can hold as a key."""

    def __missing__(self, names: Names) -> int:
        number = self[names] = len(self)
        self._describe(names)
        if any("\0" in name for name in names if name):
            self.forbidden.add(number)
        return number

    def numbers(self, names: Iterable[Names]) -> list[int] | None:
        """None when a name has a NUL in it."""
        found = list(map(self.__getitem__, names))
        return None if self.forbidden and not self.forbidden.isdisjoint(found) else found


class _RowIds(dict[Names, int]):
    def __missing__(self, names: Names) -> int:
        digest = hashlib.blake2b("\0".join(names).encode(), digest_size=8).digest()
        found = self[names] = int.from_bytes(digest, "big") >> 1
        return found


class Codebook:
    """Names become numbers: routes and payers, few of each, where their product may be large."""

    def __init__(self) -> None:
        self.routes = Numbering(self._describe_route)
        self.payers = Numbering(self._describe_payer)
        self.described: list[Route] = []
        self.payer_names: list[tuple[str, str]] = []
        self._segments: dict[tuple[str, ...], int] = {}
        self._billed: dict[tuple[str, ...], int] = {}
        self._keys: dict[tuple[str, str], int] = {}
        self._ids = _RowIds()
        self._deployments: dict[tuple[str, ...], tuple[Deployment, str]] = {}
        self._columns: list[tuple[int, int, int, int, int, int]] = []
        self._table = np.empty((0, 6), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.routes) + len(self.payers) + len(self._ids)

    def _describe_route(self, names: Names) -> None:
        intent, feature, model, prompt, index, cohort, experiment, served_by, status = names
        deployment, name = self._deployment(model, prompt, index)
        tier = served_by or "primary"
        segment = (intent, feature or "", name, cohort or "", experiment or "", tier)
        self.described.append(Route(intent, deployment, name, segment))
        self._columns.append(
            (
                self._segments.setdefault(segment, len(self._segments)),
                self._billed.setdefault((feature or "", intent, name), len(self._billed)),
                self._keys.setdefault((intent, name), len(self._keys)),
                int(status == "error"),
                int(status == "timeout"),
                int(tier in TESTED_TIERS),
            )
        )

    def _describe_payer(self, names: Names) -> None:
        tenant, provider = names
        self.payer_names.append((tenant or "", provider or ""))

    def _deployment(self, *parts: str) -> tuple[Deployment, str]:
        """The deployment of a model, prompt and index, and its id."""
        if parts not in self._deployments:
            deployment = Deployment(**dict(zip(Deployment.__struct_fields__, parts, strict=True)))
            self._deployments[parts] = (deployment, deployment.id)
        return self._deployments[parts]

    def table(self) -> Ints:
        """Per route: numbers of its segment, its bill and its key; error, timeout, tested. Shape (routes, 6)."""
        if len(self._table) < len(self._columns):
            self._table = np.array(self._columns, dtype=np.int64)
        return self._table

    def row_ids(self, names: Iterable[Names]) -> Ints:
        """Stable 63-bit ids of segments or accounts."""
        return np.fromiter(map(self._ids.__getitem__, names), np.int64)

    def segments(self) -> list[tuple[str, ...]]:
        return list(self._segments)

    def billed(self) -> list[tuple[str, ...]]:
        """Feature, intent and deployment id."""
        return list(self._billed)

    def keys_by_number(self) -> list[tuple[str, str]]:
        """Intent and deployment id."""
        return list(self._keys)


class Codes(NamedTuple):
    """Numbers of the names of some records."""

    routes: list[int]
    payers: list[int]


class Sums:
    """Integer rows summed by an integer key."""

    def __init__(self) -> None:
        self._parts: list[tuple[Ints, Ints]] = []

    def add(self, keys: Ints, values: Ints) -> None:
        self._parts.append(_reduce(keys, values))

    def result(self) -> tuple[Ints, Ints]:
        """Ascending keys, shape (groups,), and their sums, shape (groups, columns)."""
        if not self._parts:
            return np.empty(0, dtype=np.int64), np.empty((0, 1), dtype=np.int64)
        keys, values = zip(*self._parts, strict=True)
        return _reduce(np.concatenate(keys), np.concatenate(values))


def _reduce(keys: Ints, values: Ints) -> tuple[Ints, Ints]:
    order = np.argsort(keys)
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[starts], np.add.reduceat(values[order], starts, axis=0)


_WIDTH = 1 << 20
"""Routes, segments, payers and keys of one codebook are fewer than this; a key is time * _WIDTH + number."""

CODEBOOK_LIMIT = 1 << 18
PART_LIMIT = 1 << 19
"""Of names in a codebook, after which a block goes on with another one."""

_HISTOGRAM = 1 << 11


def _sorted_rows(times: Ints, ids: Ints, sums: Ints) -> tuple[Ints, list[tuple[int, ...]]]:
    """The order of rows by time and id, and they themselves in it."""
    order = np.lexsort((ids, times))
    return order, list(map(tuple, np.column_stack((times, ids, sums))[order].tolist()))


class Rollup:
    """Collects the rollups of one block."""

    def __init__(self, codebook: Codebook, sampler: Sampler, prices: Prices) -> None:
        self._book = codebook
        self._sampler = sampler
        self._prices = prices
        self._routes: list[int] = []
        self._payers: list[int] = []
        self._numbers: list[tuple[Any, ...]] = []
        self._times: list[float] = []
        self._five = Sums()
        self._day = Sums()
        self._latency = Sums()
        self._retrieval = Sums()
        self._cells: dict[tuple[int, int], list[int]] = {}
        self._plans: dict[tuple[str, int], int] = {}
        self.last_event: int | None = None

    def codes(self, records: Sequence[Line]) -> Codes | None:
        """Numbers of the records' names; None when a name that becomes a key has a NUL in it."""
        routes = self._book.routes.numbers(map(route_of, records))
        payers = self._book.payers.numbers(map(payer_of, records))
        if routes is None or payers is None or "\0" in "".join(map(id_of, records)):
            return None
        return Codes(routes, payers)

    def add(self, records: Sequence[Line], seconds: Sequence[float], codes: Codes) -> None:
        self._routes.extend(codes.routes)
        self._payers.extend(codes.payers)
        self._numbers.extend(map(numbers_of, records))
        self._times.extend(seconds)
        if len(self._times) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._times:
            return
        routes = np.fromiter(self._routes, np.int64)
        payers = np.fromiter(self._payers, np.int64)
        numbers = np.fromiter(chain.from_iterable(self._numbers), np.float64).reshape(len(routes), -1)
        times = np.rint(np.fromiter(self._times, np.float64) * SECOND).astype(np.int64)
        self._routes, self._payers, self._numbers, self._times = [], [], [], []
        self.last_event = max(int(times.max()), self.last_event if self.last_event is not None else int(times.max()))
        table = self._book.table()[routes]
        values = self._values(routes, payers, times, numbers, table)
        five = (times // FIVE_MINUTES) * _WIDTH + table[:, 0]
        self._five.add(five, values)
        self._day.add(((times // DAY) * _WIDTH + table[:, 1]) * _WIDTH + payers, values[:, [0, 6, 7, 8, 9]])
        for sums, column in ((self._latency, 3), (self._retrieval, 4)):
            self._add_histogram(sums, five, numbers[:, column])
        self._add_cells(times, table)
        self._count_plans(routes, times)

    def _values(self, routes: Ints, payers: Ints, times: Ints, numbers: Floats, table: Ints) -> Ints:
        feedback = numbers[:, 5]
        cost, unknown = self._cost(routes, payers, times, numbers)
        columns = (
            np.ones(len(routes), dtype=np.int64),
            table[:, 3],
            table[:, 4],
            feedback == 1,
            feedback == 0,
            feedback == -1,
            np.nan_to_num(numbers[:, 0]),
            np.nan_to_num(numbers[:, 1]),
            cost,
            unknown,
        )
        return np.stack([np.asarray(c, dtype=np.int64) for c in columns], axis=1)

    def _cost(self, routes: Ints, payers: Ints, times: Ints, numbers: Floats) -> tuple[Ints, Ints]:
        """Nano-dollars per record, from the log or from tokens and prices, and whether it is unknown."""
        usd = numbers[:, 2]
        missing = np.flatnonzero(np.isnan(usd))
        nano = np.rint(np.nan_to_num(usd) * 1e9).astype(np.int64)
        unknown = np.zeros(len(usd), dtype=np.int64)
        if not len(missing):
            return nano, unknown
        keys = ((times[missing] // DAY) * _WIDTH + routes[missing]) * _WIDTH + payers[missing]
        kinds, where = np.unique(keys, return_inverse=True)
        rates = np.array([self._rate(key) for key in kinds.tolist()])[where]
        tokens = numbers[missing, :2]
        known = ~np.isnan(rates[:, 0]) & ~np.isnan(tokens).all(axis=1)
        priced = np.nan_to_num(tokens * rates).sum(axis=1)
        nano[missing] = np.where(known, np.rint(priced), 0).astype(np.int64)
        unknown[missing] = ~known
        return nano, unknown

    def _rate(self, key: int) -> tuple[float, float]:
        """Nano-dollars a token for a day, a route and a payer."""
        rest, payer = divmod(key, _WIDTH)
        day, route = divmod(rest, _WIDTH)
        provider = self._book.payer_names[payer][1]
        when = date.fromordinal(max(1, date(1970, 1, 1).toordinal() + day))  # a zone can lead before the year 1
        return self._prices.per_token(self._book.described[route].deployment.model_version, provider, when)

    def _add_histogram(self, sums: Sums, five: Ints, values: Floats) -> None:
        present = np.flatnonzero(~np.isnan(values))
        if len(present):
            numbers = histogram.buckets(values[present]) - histogram.MINIMUM
            # bucket of 5 minutes and segment in the high part, bucket of latency in the low
            sums.add(five[present] * _HISTOGRAM + numbers, np.ones((len(present), 1), dtype=np.int64))

    def _add_cells(self, times: Ints, table: Ints) -> None:
        tested = np.flatnonzero(table[:, 5])
        if not len(tested):
            return
        times = times[tested]
        keys = (times // TEST_BLOCK) * _WIDTH + table[tested, 2]
        order = np.argsort(keys, kind="stable")
        keys, times = keys[order], times[order]
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        counts = np.diff(np.append(starts, len(keys)))
        firsts, lasts = np.minimum.reduceat(times, starts), np.maximum.reduceat(times, starts)
        for key, count, first, last in zip(
            keys[starts].tolist(), counts.tolist(), firsts.tolist(), lasts.tolist(), strict=True
        ):
            cell = self._cells.setdefault((key % _WIDTH, key // _WIDTH), [0, first, last])
            cell[:] = [cell[0] + count, min(cell[1], first), max(cell[2], last)]

    def _count_plans(self, routes: Ints, times: Ints) -> None:
        """Records per intent and the plan row that was in force for them."""
        totals = np.bincount(routes)
        for route in np.flatnonzero(totals).tolist():
            kind = self._book.described[route]
            starts, plans = self._sampler.scope(kind.intent, kind.deployment_id)
            if len(plans) == 1:
                counts = {0: int(totals[route])}
            else:
                places = np.searchsorted(np.array(starts), times[routes == route], side="right") - 1
                counts = dict(zip(*(a.tolist() for a in np.unique(places, return_counts=True)), strict=True))
            for place, count in counts.items():
                key = (kind.intent, plans[place].plan)
                self._plans[key] = self._plans.get(key, 0) + count

    def rows(self) -> RollupRows:
        """Everything that was added, as rows for the store, in the order of their keys."""
        self._flush()
        book = self._book
        segments, five_minutes = self._five_minutes()
        accounts, days = self._days()
        keys = book.keys_by_number()
        cells = sorted((*keys[number], block, *cell) for (number, block), cell in self._cells.items())
        present = {segment[2] for segment in segments.values()}
        deployments = {r.deployment_id: r.deployment for r in book.described if r.deployment_id in present}
        return RollupRows(five_minutes, days, cells, segments, accounts, deployments, dict(self._plans))

    def _five_minutes(self) -> tuple[dict[int, Names], list[tuple[Any, ...]]]:
        """Segments by their ids, and rows of bucket, id, sums and histograms."""
        keys, sums = self._five.result()
        names = self._book.segments()
        numbers, where = np.unique(keys % _WIDTH, return_inverse=True)
        found = [names[number] for number in numbers.tolist()]
        ids = self._book.row_ids(found)
        order, table = _sorted_rows(keys // _WIDTH, ids[where], sums)
        latency, retrieval = self._histograms(self._latency), self._histograms(self._retrieval)
        rows = [
            (*row, latency.get(key, b""), retrieval.get(key, b""))
            for row, key in zip(table, keys[order].tolist(), strict=True)
        ]
        return dict(zip(ids.tolist(), found, strict=True)), rows

    def _days(self) -> tuple[dict[int, Names], list[tuple[Any, ...]]]:
        """Accounts by their ids, and rows of day, id and sums."""
        keys, sums = self._day.result()
        billed, payers = self._book.billed(), self._book.payer_names
        numbers, where = np.unique(keys % _WIDTH**2, return_inverse=True)
        found = []
        for bill, payer in zip(*(part.tolist() for part in np.divmod(numbers, _WIDTH)), strict=True):
            tenant, provider = payers[payer]
            found.append((tenant, *billed[bill], provider))
        ids = self._book.row_ids(found)
        _, rows = _sorted_rows(keys // _WIDTH**2, ids[where], sums)
        return dict(zip(ids.tolist(), found, strict=True)), rows

    @staticmethod
    def _histograms(sums: Sums) -> dict[int, bytes]:
        keys, counts = sums.result()
        if not len(keys):
            return {}
        owner, number = keys // _HISTOGRAM, keys % _HISTOGRAM + histogram.MINIMUM
        starts = np.flatnonzero(np.concatenate(([True], owner[1:] != owner[:-1])))
        stops = np.append(starts[1:], len(owner))
        data, width = histogram.pack(number, counts[:, 0]), histogram.PAIR_BYTES
        return {
            key: data[a * width : b * width]
            for key, a, b in zip(owner[starts].tolist(), starts.tolist(), stops.tolist(), strict=True)
        }


def epoch_seconds(records: Sequence[Line]) -> list[float]:
    return list(map(datetime.timestamp, map(time_of, records)))
