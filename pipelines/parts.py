"""Puts the rollups of a block's parts together; they add exactly."""

from collections import Counter
from operator import add
from typing import Any

from tidegauge.storage import histogram
from tidegauge.storage.commits import RollupRows

Table = list[tuple[Any, ...]]


def together(one: RollupRows, other: RollupRows) -> RollupRows:
    """One block's additions, from those of two parts of it."""
    return RollupRows(
        _five_minutes(one.five_minutes, other.five_minutes),
        _days(one.days, other.days),
        _cells(one.cells, other.cells),
        one.segments | other.segments,
        one.accounts | other.accounts,
        one.deployments | other.deployments,
        dict(Counter(one.plans) + Counter(other.plans)),
    )


def _five_minutes(one: Table, other: Table) -> Table:
    found, further = {row[:2]: row for row in one}, {row[:2]: row for row in other}
    both = sorted(found.keys() & further.keys())
    latencies, retrievals = (
        histogram.merge([(found[key][column], further[key][column]) for key in both]) for column in (-2, -1)
    )
    sums = (map(add, found[key][2:-2], further[key][2:-2]) for key in both)
    summed = {key: (*key, *row, *last) for key, row, *last in zip(both, sums, latencies, retrievals, strict=True)}
    return sorted((found | further | summed).values())


def _days(one: Table, other: Table) -> Table:
    found, further = {row[:2]: row for row in one}, {row[:2]: row for row in other}
    both = found.keys() & further.keys()
    summed = {key: (*key, *map(add, found[key][2:], further[key][2:])) for key in both}
    return sorted((found | further | summed).values())


def _cells(one: Table, other: Table) -> Table:
    found = {row[:3]: row for row in one}
    for *key, requests, first, last in other:
        _, _, _, counted, begin, end = found.get(tuple(key), (*key, 0, first, last))
        found[tuple(key)] = (*key, counted + requests, min(begin, first), max(end, last))
    return sorted(found.values())
