"""Policy snapshots: how suspicious a score is, and how likely it is to be reviewed, from labels in hand only.

One snapshot an hour, of event time or of the clock, whichever moves first; f is fitted anew every six hours. On an
intent's first day the amount of its traffic is not known yet: there is one whenever that has grown by a tenth, or a
label has taught something.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tidegauge.domain import DAY, HOUR, TEST_BLOCK, UNSCORED_BIN, Micros, Objective, Value, short_hash, test_block
from tidegauge.service import objectives as stored
from tidegauge.service import surges
from tidegauge.service.surges import Surge
from tidegauge.slo import surge as rules
from tidegauge.slo.policy import calibrated_within, decayed, labels_per_item, review_probability, solve_k
from tidegauge.storage import policies
from tidegauge.storage.policies import StoredObjective
from tidegauge.storage.store import Row, Transaction

BINS = UNSCORED_BIN + 1
TRAILING_BLOCKS = 28  # 7 event days
GROWTH = 1.1
MEMORY_BLOCKS = 460  # a label keeps a tenth of its weight

_encode = msgspec.json.Encoder(order="sorted").encode

Cell = tuple[str, int]
"""Evaluator hash and score bin."""


class Policy(Value, frozen=True, kw_only=True):
    """What is frozen with an item of one intent. `f` has nine values per evaluator hash, the last one for unscored."""

    indicator: str
    intent: str
    objective: int
    theta0: float
    alpha: float
    false_positive_rate: float
    owner: str
    risk: str
    labels_per_day: float
    labels_per_item: float = 1.0
    """What the budget buys of an item, before any surge; above 1 where it buys more than there is."""
    r: float
    """Share of the items that is reviewed, with the surge."""
    k: float
    f: dict[str, list[float]]
    shares: dict[str, list[float]]
    surge: Surge = Surge()
    fitted_at: Micros = 0
    """Event time up to which labels could enter f."""

    @property
    def id(self) -> str:
        return short_hash(self.indicator, self.intent, _encode(self).decode(), size=8)

    @property
    def bets(self) -> int:
        """Of a test that begins under this policy."""
        return rules.bets_for(self.labels_per_item)

    def serves_for(self, newer: "Policy") -> bool:
        """Whether a newer one would choose almost the same reviews."""
        old, new = self.labels_per_item, newer.labels_per_item
        return (self.f, self.surge.s) == (newer.f, newer.surge.s) and new / GROWTH <= old <= new * GROWTH

    def f_of(self, evaluator_hash: str, bin: int) -> float:
        """Calibrated P(hallucinated); the objective itself where nothing is known of the evaluator."""
        known = self.f.get(evaluator_hash)
        return self.theta0 if known is None else known[bin]

    def pi_of(self, evaluator_hash: str, bin: int) -> float:
        return review_probability(self.k, self.f_of(evaluator_hash, bin), self.r)


class _Counts:
    """Labels and items by evaluator and bin, of one intent or of all."""

    def __init__(self, rows: Sequence[Row], newest_block: int) -> None:
        self._rows: dict[Cell, list[Row]] = {}
        for row in rows:
            self._rows.setdefault((row["evaluator_hash"], row["bin"]), []).append(row)
        self.newest_block = newest_block

    @property
    def evaluators(self) -> set[str]:
        return {cell[0] for cell in self._rows}

    def faded(self, cell: Cell) -> tuple[float, float]:
        """(positives, labels), older ones counting less."""
        rows = self._rows.get(cell, [])
        return self._fade(rows, "positives"), self._fade(rows, "returned")

    def _fade(self, rows: Sequence[Row], field: str) -> float:
        counts: dict[int, float] = {}
        for row in rows:
            counts[row["block"]] = counts.get(row["block"], 0.0) + float(row[field])
        return decayed(counts, self.newest_block)

    def items(self, cell: Cell) -> float:
        since = self.newest_block - TRAILING_BLOCKS
        return sum(float(row["items"]) for row in self._rows.get(cell, []) if row["block"] > since)


def refresh(tx: Transaction, objectives: Sequence[Objective], now: Micros) -> dict[str, Policy]:
    """The policy in force for each objective's intent, all of one indicator.

    A snapshot that is not an hour old yet is used as it is.
    """
    if not objectives:
        return {}
    indicator = objectives[0].indicator
    kept = stored.ensure(tx, objectives, now)
    before = _earlier(tx, indicator, [wanted.intent for wanted in objectives])
    traffic: dict[str, list[Row]] = {}
    for row in policies.traffic(tx, [wanted.intent for wanted in objectives], TRAILING_BLOCKS):
        traffic.setdefault(row["intent"], []).append(row)
    found: dict[str, Policy] = {}
    due: list[_Due] = []
    for wanted in objectives:
        seen = traffic.get(wanted.intent, [])
        last = before.get(wanted.intent)
        one = _Due(kept[wanted.intent], wanted.labels_per_day, seen, last)
        if last is not None and not one.is_due(now):
            found[wanted.intent] = last.policy
        else:
            due.append(one)
    return found | _renewed(tx, due, now)


class _Earlier(Value, frozen=True):
    policy: Policy
    made_at: Micros


def _earlier(tx: Transaction, indicator: str, intents: Sequence[str]) -> dict[str, _Earlier]:
    rows = policies.snapshots(tx, indicator, intents)
    return {name: _Earlier(_decode(row["body"]), row["made_at"]) for name, row in rows.items()}


@dataclass(frozen=True)
class _Due:
    """What a snapshot of one intent is made from. `traffic` has rows of block, sampled, first_at, last_at: the first
    one, and those of the trailing days.
    """

    objective: StoredObjective
    labels_per_day: float
    traffic: Sequence[Row]
    last: _Earlier | None

    @property
    def newest(self) -> Micros:
        """Newest event time of the intent."""
        return max((int(row["last_at"]) for row in self.traffic), default=0)

    @property
    def settled(self) -> bool:
        """Whether the traffic spans a day: before that its amount is not known, and every tick looks again."""
        return bool(self.traffic) and self.newest - min(int(row["first_at"]) for row in self.traffic) >= DAY

    def is_due(self, now: Micros) -> bool:
        return not self.settled or self._is_over(now)

    def keeps(self, made: Policy, now: Micros) -> bool:
        """Whether the last snapshot stays in force on the first day, though it is not quite what would be made now."""
        return self.last is not None and not self._is_over(now) and self.last.policy.serves_for(made)

    def _is_over(self, now: Micros) -> bool:
        """Whether there must be a new snapshot."""
        if self.last is None or self._changed(self.last.policy):
            return True
        return self.newest // HOUR != self.last.policy.surge.at // HOUR or now - self.last.made_at >= HOUR

    def _changed(self, old: Policy) -> bool:
        return (old.objective, old.labels_per_day, old.owner, old.risk) != (
            self.objective.objective,
            self.labels_per_day,
            self.objective.owner,
            self.objective.risk,
        )

    def keeps_f(self, now: Micros) -> bool:
        """Whether f was fitted in this block already."""
        if self.last is None or not self.settled or now - self.last.made_at >= TEST_BLOCK:
            return False
        return self.newest // TEST_BLOCK == self.last.policy.fitted_at // TEST_BLOCK


def _renewed(tx: Transaction, due: Sequence[_Due], now: Micros) -> dict[str, Policy]:
    if not due:
        return {}
    indicator = due[0].objective.indicator
    newest = test_block(tx.value("newest_traffic") or 0)
    labels = policies.label_counts(tx, indicator, newest - MEMORY_BLOCKS)
    everywhere = _Counts(labels, newest)
    evidence = policies.running_evidence(tx, indicator, [one.objective.intent for one in due])
    found = {}
    for one in due:
        intent = one.objective.intent
        block = max((int(row["block"]) for row in one.traffic), default=newest)
        own = _Counts([row for row in labels if row["intent"] == intent], block)
        per_item = labels_per_item(one.labels_per_day, samples_per_day(one.traffic))
        last = one.last.policy if one.last else None
        surge = surges.next_surge(
            last.surge if last else None,
            used=rules.used(last.surge.s, last.labels_per_item) if last and last.labels_per_item > 0 else 0.0,
            evidence=evidence.get(intent, []),
            labels_per_day=one.labels_per_day,
            labels_per_item=per_item,
            newest=one.newest,
        )
        fitted = (last.f, last.shares, last.fitted_at) if last and one.keeps_f(now) else None
        policy = _policy(one, per_item, surge, fitted or (*_fit(own, everywhere, one.objective.theta0), one.newest))
        if last and one.keeps(policy, now):
            found[intent] = last
        else:
            _keep(tx, policy, now)
            found[intent] = policy
    return found


def _keep(tx: Transaction, policy: Policy, now: Micros) -> None:
    name = {"indicator": policy.indicator, "intent": policy.intent}
    policies.keep_policy(tx, policy=policy.id, **name, body=_encode(policy).decode(), now=now)
    surge = msgspec.structs.asdict(policy.surge)
    policies.put_snapshot(
        tx, **name, **surge, policy=policy.id, made_at=now, capacity=rules.capacity(policy.labels_per_day)
    )


def samples_per_day(traffic: Sequence[Row]) -> float:
    """Mean over the trailing 7 event days, at least one; `traffic` has rows of block, sampled, first_at, last_at."""
    if not traffic:
        return 0.0
    since = max(row["block"] for row in traffic) - TRAILING_BLOCKS
    recent = [row for row in traffic if row["block"] > since]
    span: int = max(row["last_at"] for row in recent) - min(row["first_at"] for row in recent)
    return sum(float(row["sampled"]) for row in recent) / max(1.0, span / DAY)


_Fitted = tuple[dict[str, list[float]], dict[str, list[float]], Micros]
"""f, the bins' shares of the items, and the event time they are of."""


def _fit(own: _Counts, everywhere: _Counts, theta0: float) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    evaluators = sorted(everywhere.evaluators)
    f = {
        name: [
            calibrated_within(own.faded((name, bin_)), everywhere.faded((name, bin_)), theta0) for bin_ in range(BINS)
        ]
        for name in evaluators
    }
    items = {name: [own.items((name, bin_)) for bin_ in range(BINS)] for name in evaluators}
    total = sum(map(sum, items.values())) or 1.0
    return f, {name: [count / total for count in counts] for name, counts in items.items()}


def _policy(due: _Due, per_item: float, surge: Surge, fitted: _Fitted) -> Policy:
    objective, (f, shares, fitted_at) = due.objective, fitted
    flat_f = [value for name in f for value in f[name]] or [objective.theta0]
    flat_shares = [value for name in f for value in shares[name]] or [1.0]
    r = min(1.0, surge.s * per_item)
    return Policy(
        indicator=objective.indicator,
        intent=objective.intent,
        objective=objective.objective,
        theta0=objective.theta0,
        alpha=objective.alpha,
        false_positive_rate=objective.false_positive_rate,
        owner=objective.owner,
        risk=objective.risk,
        labels_per_day=due.labels_per_day,
        labels_per_item=per_item,
        r=r,
        k=solve_k(flat_f, flat_shares, r),
        f=f,
        shares=shares,
        surge=surge,
        fitted_at=fitted_at,
    )


_decode = msgspec.json.Decoder(Policy).decode
