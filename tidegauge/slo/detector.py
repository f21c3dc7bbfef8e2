"""The test and the rate of one key in memory: the same sums as the store's, block by block.

Each item enters once, with what was frozen before its label was known; a label moves the sums of the item's own block.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, inf
from typing import Any

from tidegauge.slo.evidence import Rule, advance, clip_f, item_terms, label_difference, log_mean, nothing
from tidegauge.slo.rates import UNKNOWN, Estimate, RateSums, estimate, rate_terms

BLOCKS_A_DAY = 4


@dataclass
class BlockSums:
    """Additive sums of a key: evidence by test block, positives by test block, rates by score bin."""

    evidence: dict[int, list[float]] = field(default_factory=dict)
    positives: dict[int, int] = field(default_factory=dict)
    rates: dict[int, list[float]] = field(default_factory=dict)
    judged: int = 0

    def add(self, block: int, terms: Sequence[float], positives: int) -> None:
        row = self.evidence.get(block)
        if row is None:
            row = self.evidence[block] = [0.0] * len(terms)
        for k, term in enumerate(terms):
            row[k] += term
        if positives:
            self.positives[block] = self.positives.get(block, 0) + positives

    def add_rates(self, stratum: int, terms: Sequence[float]) -> None:
        row = self.rates.get(stratum)
        if row is None:
            row = self.rates[stratum] = list(RateSums())
        for position, term in enumerate(terms):
            row[position] += term

    def merge(self, other: "BlockSums") -> None:
        """Adds the sums of another shard of the same key. The shards' items must be distinct."""
        for block, terms in other.evidence.items():
            self.add(block, terms, other.positives.get(block, 0))
        for stratum, rates in other.rates.items():
            self.add_rates(stratum, rates)
        self.judged += other.judged


@dataclass(slots=True)
class _Item:
    """What a label needs to know of its item."""

    block: int
    f: float
    pi: float
    u: float
    pi1: float
    bin: int
    y: int = 0
    returned: bool = False


class Detector:
    """Sequential test of one (intent, deployment). Time is in days of event time; blocks are 6 hours wide."""

    def __init__(self, rule: Rule, pi_ref: float | None = None) -> None:
        self.rule = rule
        self.sums = BlockSums()
        self._pi_ref = pi_ref
        self._items: dict[Hashable, _Item] = {}
        self._seen: set[Hashable] = set()
        self._read_block: int | None = None
        # The series up to each block, kept until a sum at or before that block changes.
        self._first: int | None = None
        self._mixtures: list[Sequence[float]] = []
        self._maxima: list[float] = []

    def judged(
        self, item: Hashable, t: float, f: float, pi: float, reviewed: bool, pi1: float = 1.0, bin: int = 0
    ) -> None:
        """One judged item: its f, pi and whether it was chosen for review. A repeated item changes nothing."""
        if item in self._seen:
            return
        self._seen.add(item)
        if self._pi_ref is None:
            self._pi_ref = pi1
        block = floor(t * BLOCKS_A_DAY)
        if self._read_block is not None:
            block = max(block, self._read_block)
        u = min(1.0, self._pi_ref / pi1)
        f = clip_f(f, pi, self.rule.b)
        self._touch(block)
        self.sums.judged += 1
        self.sums.add(block, item_terms(self.rule, f, pi, reviewed, 0, u=u), 0)
        self.sums.add_rates(bin, rate_terms(f, pi, reviewed, False, 0, pi1=pi1))
        if reviewed:
            self._items[item] = _Item(block, f, pi, u, pi1, bin)

    def label(self, item: Hashable, y: int | None) -> None:
        """A human label, 0 or 1; None takes a returned one back. A later one corrects an earlier one.

        A label of an item that was not chosen for review counts for nothing. Raises KeyError for an unknown item.
        """
        case = self._items.get(item)
        if case is None:
            if item not in self._seen:
                raise KeyError(item)
            return
        returned, new = y is not None, int(y or 0)
        if new != case.y:
            self._touch(case.block)
            change = label_difference(self.rule, case.f, case.pi, case.u, old=case.y, new=new)
            self.sums.add(case.block, change, new - case.y)
        before = rate_terms(case.f, case.pi, True, case.returned, case.y, pi1=case.pi1)
        after = rate_terms(case.f, case.pi, True, returned, new, pi1=case.pi1)
        self.sums.add_rates(case.bin, after.minus(before))
        case.y, case.returned = new, returned

    def decide(self, t: float) -> dict[str, Any]:
        """Looks at the evidence at time t: {"rollback", "log_e"}, log_e the maximum so far of log M_c."""
        last = floor(t * BLOCKS_A_DAY)
        if self._first is None or last < self._first:
            return {"rollback": False, "log_e": -inf}
        if self._read_block is None or last > self._read_block:
            self._read_block = last
        log_e = self._maximum(last)
        positives = sum(count for block, count in self.sums.positives.items() if block <= last)
        return {"rollback": self.rule.breached(log_e, positives), "log_e": log_e}

    def estimate(self) -> dict[str, float | None]:
        """The rate so far and its 95 % interval; est is None while no label has come."""
        found: Estimate = UNKNOWN
        if self.sums.rates:
            found = estimate(self.sums.rates.values(), self.rule.false_positive_rate)
        return {"est": found.est, "lo": found.lo, "hi": found.hi}

    def merge(self, other: "Detector") -> None:
        """Takes over another shard of the same key, items and sums. Raises ValueError where rule or items collide."""
        if other.rule != self.rule or self._seen & other._seen:
            raise ValueError("shards to be merged have the same rule and distinct items")
        self.sums.merge(other.sums)
        self._items.update(other._items)
        self._seen |= other._seen
        self._pi_ref = other._pi_ref if self._pi_ref is None else self._pi_ref
        reads = [read for read in (self._read_block, other._read_block) if read is not None]
        self._read_block = max(reads, default=None)
        self._mixtures.clear()
        self._maxima.clear()
        self._first = min(self.sums.evidence, default=None)

    def _touch(self, block: int) -> None:
        """Forgets the series from a block on; a block before the first becomes the first while nothing was read."""
        if self._first is None or block < self._first:
            self._first = block
        del self._mixtures[max(block - self._first, 0) :]
        del self._maxima[max(block - self._first, 0) :]

    def _maximum(self, last: int) -> float:
        first = self._first
        assert first is not None
        while len(self._mixtures) <= last - first:
            block = first + len(self._mixtures)
            before = self._mixtures[-1] if self._mixtures else nothing(self.rule)
            sums = self.sums.evidence.get(block, (0.0,) * self.rule.bets)
            mixture = advance(before, sums, self.rule.log_weight(block, first))
            self._mixtures.append(mixture)
            self._maxima.append(max(log_mean(mixture), self._maxima[-1] if self._maxima else -inf))
        return self._maxima[last - first]


def make_detector(config: Mapping[str, Any]) -> Detector:
    """A detector from {"theta0", "alpha"} and, if wished, false_positive_rate, b, min_positives, horizon, bets, pi_ref.

    Raises TypeError for an unknown key and ValueError for a value out of range.
    """
    options = dict(config)
    pi_ref = options.pop("pi_ref", None)
    return Detector(Rule(**options), pi_ref)
