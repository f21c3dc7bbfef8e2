"""What the store holds of an intent's history, as tables of weighted findings for `tidegauge.slo.attribution`."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.domain import DAY, TEST_BLOCK, Deployment, Micros
from tidegauge.slo.attribution import History, Segment
from tidegauge.slo.loglinear import Floats
from tidegauge.slo.rates import Estimate, RateSums, estimate
from tidegauge.storage.store import Row, Transaction

DIMENSIONS = ("cohort", "tenant", "feature", "experiment")

_LOOK_BACK = 56 * DAY
_STRATA = 40
"""Joint segments that are kept apart, the largest ones; the rest is one more."""

_VALUES = 50
"""Values of one dimension that are looked at."""

_BLOCKS_A_DAY = DAY // TEST_BLOCK
_OVERLAP = 0.2
"""Traffic that the suspect and the rest must have in common along a dimension. A cohort or an experiment that is the
deployment itself can tell nothing apart, and is no part of the mix."""

_ABSENT = 0.01
_COMMON = 0.1

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Release(NamedTuple):
    """A deployment of the intent, in the order of first traffic."""

    id: str
    deployment: Deployment
    first_at: Micros
    last_at: Micros

    @property
    def parts(self) -> tuple[str, str, str]:
        return self.deployment.model_version, self.deployment.prompt_version, self.deployment.retrieval_index


class Share(NamedTuple):
    """How a segment's share of the traffic differs between the two sides of a change."""

    dimension: str
    value: str
    before: float
    after: float


@dataclass(frozen=True)
class Record:
    """One row per deployment, block, evaluator, bin and segment."""

    releases: Sequence[Release]
    first_block: int
    deployment: Ints
    block: Ints
    stratum: Ints
    found: Floats
    exposure: Floats
    squares: Floats
    positives: int
    values: dict[str, list[str]]
    """Of each dimension, by row."""
    mixed: tuple[str, ...]
    """Dimensions of the strata."""

    def history(self) -> History:
        shape = (len(self.releases), int(self.block.max(initial=0)) + 1, int(self.stratum.max(initial=0)) + 1)
        found, exposure = np.zeros(shape), np.zeros(shape)
        place = (self.deployment, self.block, self.stratum)
        np.add.at(found, place, self.found)
        np.add.at(exposure, place, self.exposure)
        return History([release.parts for release in self.releases], found, exposure, self.dispersion)

    @property
    def dispersion(self) -> float:
        total = float(self.found.sum())
        return max(float(self.squares.sum()) / total, 1.0) if total > 0 else 1.0

    def segments(self, bad: Bools) -> list[Segment]:
        """Both sides of every value of every dimension. `bad` has the shape (deployments, blocks)."""
        after = bad[self.deployment, self.block]
        return [
            Segment(
                dimension,
                value,
                float(self.found[here & ~after].sum()),
                float(self.exposure[here & ~after].sum()),
                float(self.found[here & after].sum()),
                float(self.exposure[here & after].sum()),
            )
            for dimension, names in self.values.items()
            for value, here in _places(names)
        ]

    def moved(self, bad: Bools, least: float = 0.05) -> list[Share]:
        """Segments whose share of the traffic changed by `least` or more, the largest change first."""
        rows = self.segments(bad)
        before = {d: sum(r.exposure_before for r in rows if r.dimension == d) for d in DIMENSIONS}
        after = {d: sum(r.exposure_after for r in rows if r.dimension == d) for d in DIMENSIONS}
        shares = [
            Share(r.dimension, r.value, r.exposure_before / before[r.dimension], r.exposure_after / after[r.dimension])
            for r in rows
            if r.dimension in self.mixed and before[r.dimension] > 0 and after[r.dimension] > 0
        ]
        found = [share for share in shares if abs(share.after - share.before) >= least]
        return sorted(found, key=lambda share: -abs(share.after - share.before))


def _places(names: Sequence[str]) -> list[tuple[str, Bools]]:
    column = np.array(names, dtype=object)
    return [(value, column == value) for value, _ in Counter(names).most_common(_VALUES)]


def read(tx: Transaction, indicator: str, intent: str, suspect: str) -> Record | None:
    """The record of eight weeks up to the suspect's newest traffic, and of what came after it; None without any."""
    known = tx.rows("deployments_of_intent", intent=intent)
    end = next((row["last_at"] for row in known if row["deployment"] == suspect), None)
    if end is None:
        return None
    since = (int(end) - _LOOK_BACK) // TEST_BLOCK
    rows = tx.rows("findings_of_intent", intent=intent, indicator=indicator, since=since)
    wanted = {row["deployment"] for row in rows} | {suspect}
    releases = [_release(row) for row in known if row["deployment"] in wanted]
    return _record(releases, rows, suspect) if rows else None


def _release(row: Row) -> Release:
    parts = {name: row[name] for name in ("model_version", "prompt_version", "retrieval_index")}
    return Release(row["deployment"], Deployment(**parts), int(row["first_at"]), int(row["last_at"]))


def _record(releases: Sequence[Release], rows: Sequence[Row], suspect: str) -> Record:
    place = {release.id: n for n, release in enumerate(releases)}
    first = min(row["block"] for row in rows)
    weight = np.array(_weights(rows))
    varied = [dimension for dimension in DIMENSIONS if len({row[dimension] for row in rows}) > 1]
    mixed = tuple(dimension for dimension in varied if _overlap(rows, dimension, suspect) >= _OVERLAP)
    joint = [tuple(row[dimension] for dimension in mixed) for row in rows]
    items: Counter[tuple[str, ...]] = Counter()
    for names, row in zip(joint, rows, strict=True):
        items[names] += int(row["items"])
    strata = {names: n for n, (names, _) in enumerate(items.most_common(_STRATA))}
    returned = _returned(rows)
    return Record(
        releases=releases,
        first_block=first,
        deployment=np.array([place[row["deployment"]] for row in rows]),
        block=np.array([row["block"] - first for row in rows]),
        stratum=np.array([strata.get(names, len(strata)) for names in joint]),
        found=np.array([float(row["found"]) for row in rows]) * weight,
        exposure=np.array([float(row["exposure"]) * returned(row) for row in rows]),
        squares=np.array([float(row["squares"]) for row in rows]) * weight**2,
        positives=sum(int(row["positives"]) for row in rows),
        values={d: [str(row[d]) for row in rows] for d in varied},
        mixed=mixed,
    )


def _overlap(rows: Sequence[Row], dimension: str, suspect: str) -> float:
    """Share of the traffic along a dimension that the suspect and all others have in common; 1 where it is alone."""
    own: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for row in rows:
        (own if row["deployment"] == suspect else others)[row[dimension]] += int(row["items"])
    if not own or not others:
        return 1.0
    whole = own.total(), others.total()
    return sum(min(count / whole[0], others[value] / whole[1]) for value, count in own.items())


def _weights(rows: Sequence[Row]) -> list[float]:
    """The mean review probability of each row's score bin: findings are counted as under one policy all along.

    Where a deciding evaluator came or went, bins of one deployment have no match in another; then all weigh alike.
    """
    items: Counter[tuple[str, int]] = Counter()
    asked: Counter[tuple[str, int]] = Counter()
    for row in rows:
        items[row["evaluator_hash"], row["bin"]] += int(row["items"])
        asked[row["evaluator_hash"], row["bin"]] += float(row["pi"])  # type: ignore[assignment]
    if _evaluators_changed(rows):
        mean = sum(asked.values()) / sum(items.values())
        return [mean for _ in rows]
    cells = [(row["evaluator_hash"], row["bin"]) for row in rows]
    return [asked[cell] / items[cell] for cell in cells]


def _evaluators_changed(rows: Sequence[Row]) -> bool:
    total: Counter[str] = Counter()
    own: dict[str, Counter[str]] = {}
    for row in rows:
        total[row["evaluator_hash"]] += int(row["items"])
        own.setdefault(row["deployment"], Counter())[row["evaluator_hash"]] += int(row["items"])
    everything = sum(total.values())
    common = [name for name, count in total.items() if count > _COMMON * everything]
    return any(counts[name] < _ABSENT * sum(counts.values()) for counts in own.values() for name in common)


def _returned(rows: Sequence[Row]) -> Callable[[Row], float]:
    """Share of the reviews that came back, by deployment and day: labels still to come are no absence of findings."""
    reviewed: Counter[tuple[str, int]] = Counter()
    returned: Counter[tuple[str, int]] = Counter()
    for row in rows:
        day = row["deployment"], row["block"] // _BLOCKS_A_DAY
        reviewed[day] += int(row["reviewed"])
        returned[day] += int(row["returned"])
    whole = sum(returned.values()) / max(sum(reviewed.values()), 1)

    def share(row: Row) -> float:
        day = row["deployment"], row["block"] // _BLOCKS_A_DAY
        return (returned[day] + whole) / (reviewed[day] + 1)

    return share


def rates(tx: Transaction, indicator: str, intent: str, record: Record, bad: Bools) -> tuple[Estimate, Estimate]:
    """The corrected rate before the change and after it."""
    place = {release.id: n for n, release in enumerate(record.releases)}
    sides: tuple[dict[tuple[str, int], RateSums], ...] = ({}, {})
    for row in tx.rows("rate_sums_of_intent", intent=intent, indicator=indicator, since=record.first_block):
        block = min(row["block"] - record.first_block, bad.shape[1] - 1)
        if row["deployment"] not in place:
            continue
        strata = sides[int(bad[place[row["deployment"]], block])]
        cell = row["evaluator_hash"], row["bin"]
        strata[cell] = strata.get(cell, RateSums()).plus([row[name] for name in RateSums._fields])
    return estimate(sides[0].values()), estimate(sides[1].values())
