"""Rolls requests up: every valid one, in integers that add exactly in any order.

Per record one tuple of names becomes one integer code; everything after that is arrays.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
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

names_of = attrgetter(
    "intent",
    "feature",
    "model_version",
    "prompt_version",
    "retrieval_index",
    "cohort",
    "experiment",
    "served_by",
    "status",
    "tenant",
    "provider",
)
numbers_of = attrgetter("input_tokens", "output_tokens", "cost_usd", "latency_ms", "retrieval_latency_ms", "feedback")
time_of = attrgetter("timestamp")
id_of = attrgetter("request_id")


class Group(NamedTuple):
    """What one combination of names stands for."""

    intent: str
    deployment: Deployment
    deployment_id: str
    segment: tuple[str, ...]
    """intent, feature, deployment, cohort, experiment, served_by"""
    account: tuple[str, ...]
    """tenant, feature, intent, deployment, provider"""
    status: str
    tested: bool
    provider: str


class Codebook(dict[Names, int]):
    """Numbers combinations of names as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[Group] = []
        self.forbidden: set[int] = set()
        """Codes with a NUL in a name, which no store can hold as a key."""
        self._segments: dict[tuple[str, ...], int] = {}
        self._accounts: dict[tuple[str, ...], int] = {}
        self._keys: dict[tuple[str, str], int] = {}
        self._ids: dict[tuple[str, ...], int] = {}
        self._deployments: dict[tuple[str, ...], tuple[Deployment, str]] = {}
        self._columns: list[tuple[int, int, int, int, int, int]] = []
        self._table = np.empty((0, 6), dtype=np.int64)

    def __missing__(self, names: Names) -> int:
        intent, feature, model, prompt, index, cohort, experiment, served_by, status, tenant, provider = names
        deployment, name = self._deployment(model, prompt, index)
        tier = served_by or "primary"
        segment = (intent, feature or "", name, cohort or "", experiment or "", tier)
        account = (tenant or "", feature or "", intent, name, provider or "")
        tested = tier in TESTED_TIERS
        status = status or "ok"
        self.groups.append(Group(intent, deployment, name, segment, account, status, tested, provider or ""))
        self._columns.append(
            (
                self._segments.setdefault(segment, len(self._segments)),
                self._accounts.setdefault(account, len(self._accounts)),
                self._keys.setdefault((intent, name), len(self._keys)),
                int(status == "error"),
                int(status == "timeout"),
                int(tested),
            )
        )
        code = self[names] = len(self.groups) - 1
        if any("\0" in name for name in names if name):
            self.forbidden.add(code)
        return code

    def _deployment(self, *parts: str) -> tuple[Deployment, str]:
        """The deployment of a model, prompt and index, and its id."""
        if parts not in self._deployments:
            deployment = Deployment(**dict(zip(Deployment.__struct_fields__, parts, strict=True)))
            self._deployments[parts] = (deployment, deployment.id)
        return self._deployments[parts]

    def table(self) -> Ints:
        """Per code: segment, account and key number, error, timeout, tested. Shape (codes, 6)."""
        if len(self._table) < len(self._columns):
            self._table = np.array(self._columns, dtype=np.int64)
        return self._table

    def row_id(self, names: tuple[str, ...]) -> int:
        """Stable 63-bit id of a segment or account."""
        found = self._ids.get(names)
        if found is None:
            digest = hashlib.blake2b("\0".join(names).encode(), digest_size=8).digest()
            found = self._ids[names] = int.from_bytes(digest, "big") >> 1
        return found

    def segments(self) -> list[tuple[str, ...]]:
        return list(self._segments)

    def accounts(self) -> list[tuple[str, ...]]:
        return list(self._accounts)

    def keys_by_number(self) -> list[tuple[str, str]]:
        """Intent and deployment id."""
        return list(self._keys)


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
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[starts], np.add.reduceat(values[order], starts, axis=0)


_WIDTH = 1 << 24
"""Codes, segments, accounts and keys of one codebook are fewer than this; a key is time * _WIDTH + number."""

CODEBOOK_LIMIT = 1 << 18
_HISTOGRAM = 1 << 11


class Rollup:
    """Collects the rollups of one block."""

    def __init__(self, codebook: Codebook, sampler: Sampler, prices: Prices) -> None:
        self._book = codebook
        self._sampler = sampler
        self._prices = prices
        self._codes: list[int] = []
        self._numbers: list[tuple[Any, ...]] = []
        self._times: list[float] = []
        self._five = Sums()
        self._day = Sums()
        self._latency = Sums()
        self._retrieval = Sums()
        self._cells: dict[tuple[int, int], list[int]] = {}
        self._plans: dict[tuple[str, int], int] = {}
        self.last_event: int | None = None

    def codes(self, records: Sequence[Line]) -> list[int] | None:
        """Codes of the records' names; None when a name that becomes a key has a NUL in it."""
        codes = list(map(self._book.__getitem__, map(names_of, records)))
        if self._book.forbidden and not self._book.forbidden.isdisjoint(codes):
            return None
        return None if "\0" in "".join(map(id_of, records)) else codes

    def add(self, records: Sequence[Line], seconds: Sequence[float], codes: list[int]) -> None:
        self._codes.extend(codes)
        self._numbers.extend(map(numbers_of, records))
        self._times.extend(seconds)
        if len(self._times) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._times:
            return
        codes = np.array(self._codes, dtype=np.int64)
        numbers = np.array(self._numbers, dtype=np.float64)
        times = np.rint(np.array(self._times) * SECOND).astype(np.int64)
        self._codes, self._numbers, self._times = [], [], []
        self.last_event = max(int(times.max()), self.last_event if self.last_event is not None else int(times.max()))
        table = self._book.table()[codes]
        values = self._values(codes, times, numbers, table)
        five = (times // FIVE_MINUTES) * _WIDTH + table[:, 0]
        self._five.add(five, values)
        self._day.add((times // DAY) * _WIDTH + table[:, 1], values[:, [0, 6, 7, 8, 9]])
        for sums, column in ((self._latency, 3), (self._retrieval, 4)):
            self._add_histogram(sums, five, numbers[:, column])
        self._add_cells(times, table)
        self._count_plans(codes, times)

    def _values(self, codes: Ints, times: Ints, numbers: Floats, table: Ints) -> Ints:
        feedback = numbers[:, 5]
        cost, unknown = self._cost(codes, times, numbers)
        columns = (
            np.ones(len(codes), dtype=np.int64),
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

    def _cost(self, codes: Ints, times: Ints, numbers: Floats) -> tuple[Ints, Ints]:
        """Nano-dollars per record, from the log or from tokens and prices, and whether it is unknown."""
        usd = numbers[:, 2]
        missing = np.flatnonzero(np.isnan(usd))
        nano = np.rint(np.nan_to_num(usd) * 1e9).astype(np.int64)
        unknown = np.zeros(len(codes), dtype=np.int64)
        if not len(missing):
            return nano, unknown
        both = codes[missing] + (times[missing] // DAY) * _WIDTH
        kinds, where = np.unique(both, return_inverse=True)
        rates = np.array([self._rate(int(k) % _WIDTH, int(k) // _WIDTH) for k in kinds])[where]
        tokens = numbers[missing, :2]
        known = ~np.isnan(rates[:, 0]) & ~np.isnan(tokens).all(axis=1)
        priced = np.nan_to_num(tokens * rates).sum(axis=1)
        nano[missing] = np.where(known, np.rint(priced), 0).astype(np.int64)
        unknown[missing] = ~known
        return nano, unknown

    def _rate(self, code: int, day: int) -> tuple[float, float]:
        group = self._book.groups[code]
        when = date(1970, 1, 1) + timedelta(days=day)
        return self._prices.per_token(group.deployment.model_version, group.provider, when)

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

    def _count_plans(self, codes: Ints, times: Ints) -> None:
        """Records per intent and the plan row that was in force for them."""
        kinds, totals = np.unique(codes, return_counts=True)
        for code, total in zip(kinds.tolist(), totals.tolist(), strict=True):
            group = self._book.groups[code]
            starts, plans = self._sampler.scope(group.intent, group.deployment_id)
            if len(plans) == 1:
                counts = {0: total}
            else:
                places = np.searchsorted(np.array(starts), times[codes == code], side="right") - 1
                counts = dict(zip(*(a.tolist() for a in np.unique(places, return_counts=True)), strict=True))
            for place, count in counts.items():
                key = (group.intent, plans[place].plan)
                self._plans[key] = self._plans.get(key, 0) + count

    def rows(self) -> RollupRows:
        """Everything that was added, as rows for the store, in the order of their keys."""
        self._flush()
        book = self._book
        histograms = [self._histograms(self._latency), self._histograms(self._retrieval)]
        segments, accounts, keys = book.segments(), book.accounts(), book.keys_by_number()
        five_keys, five = self._five.result()
        day_keys, day = self._day.result()
        rows = RollupRows([], [], [], {}, {}, {}, dict(self._plans))
        for key, values in zip(five_keys.tolist(), five.tolist(), strict=True):
            number = key % _WIDTH
            name = book.row_id(segments[number])
            rows.segments[name] = segments[number]
            rows.five_minutes.append((key // _WIDTH, name, *values, *(h.get(key, b"") for h in histograms)))
        for key, values in zip(day_keys.tolist(), day.tolist(), strict=True):
            number = key % _WIDTH
            name = book.row_id(accounts[number])
            rows.accounts[name] = accounts[number]
            rows.days.append((key // _WIDTH, name, *values))
        for (number, block), cell in self._cells.items():
            rows.cells.append((*keys[number], block, *cell))
        present = {segment[2] for segment in rows.segments.values()}
        rows.deployments.update({g.deployment_id: g.deployment for g in book.groups if g.deployment_id in present})
        for part in (rows.five_minutes, rows.days, rows.cells):
            part.sort()
        return rows

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
