"""Policy snapshots: how suspicious a score is, and how likely it is to be reviewed, from labels in hand only."""

from collections.abc import Sequence

import msgspec

from tidegauge.domain import DAY, HALLUCINATION, UNSCORED_BIN, Micros, Objective, Value, short_hash
from tidegauge.service import objectives as stored
from tidegauge.slo.policy import calibrated_within, decayed, review_probability, review_rate, solve_k
from tidegauge.storage import policies
from tidegauge.storage.policies import StoredObjective
from tidegauge.storage.store import Row, Transaction

BINS = UNSCORED_BIN + 1
TRAILING_BLOCKS = 28  # 7 event days
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
    r: float
    k: float
    f: dict[str, list[float]]
    shares: dict[str, list[float]]

    @property
    def id(self) -> str:
        return short_hash(self.indicator, self.intent, _encode(self).decode(), size=8)

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
    """The policy in force for each objective's intent; a row is written where it differs from all earlier ones."""
    kept = stored.ensure(tx, objectives, now)
    traffic: dict[str, list[Row]] = {}
    for row in policies.traffic(tx):
        traffic.setdefault(row["intent"], []).append(row)
    newest = max((row["block"] for rows in traffic.values() for row in rows), default=0)
    labels = policies.label_counts(tx, HALLUCINATION, newest - MEMORY_BLOCKS)
    everywhere = _Counts(labels, newest)
    found = {}
    for wanted in objectives:
        seen = traffic.get(wanted.intent, [])
        own = _Counts(
            [row for row in labels if row["intent"] == wanted.intent], max((r["block"] for r in seen), default=newest)
        )
        rate = review_rate(wanted.labels_per_day, samples_per_day(seen))
        policy = _policy(kept[wanted.intent], wanted.labels_per_day, rate, own, everywhere)
        policies.keep_policy(
            tx,
            policy=policy.id,
            indicator=policy.indicator,
            intent=policy.intent,
            body=_encode(policy).decode(),
            now=now,
        )
        found[wanted.intent] = policy
    return found


def samples_per_day(traffic: Sequence[Row]) -> float:
    """Mean over the trailing 7 event days, at least one; `traffic` has rows of block, sampled, first_at, last_at."""
    if not traffic:
        return 0.0
    since = max(row["block"] for row in traffic) - TRAILING_BLOCKS
    recent = [row for row in traffic if row["block"] > since]
    span: int = max(row["last_at"] for row in recent) - min(row["first_at"] for row in recent)
    return sum(float(row["sampled"]) for row in recent) / max(1.0, span / DAY)


def _policy(objective: StoredObjective, labels_per_day: float, r: float, own: _Counts, everywhere: _Counts) -> Policy:
    evaluators = sorted(everywhere.evaluators)
    theta0 = objective.theta0
    f = {
        name: [
            calibrated_within(own.faded((name, bin_)), everywhere.faded((name, bin_)), theta0) for bin_ in range(BINS)
        ]
        for name in evaluators
    }
    items = {name: [own.items((name, bin_)) for bin_ in range(BINS)] for name in evaluators}
    total = sum(map(sum, items.values())) or 1.0
    shares = {name: [count / total for count in counts] for name, counts in items.items()}
    flat_f = [value for name in evaluators for value in f[name]] or [theta0]
    flat_shares = [value for name in evaluators for value in shares[name]] or [1.0]
    return Policy(
        indicator=objective.indicator,
        intent=objective.intent,
        objective=objective.objective,
        theta0=theta0,
        alpha=objective.alpha,
        false_positive_rate=objective.false_positive_rate,
        owner=objective.owner,
        risk=objective.risk,
        labels_per_day=labels_per_day,
        r=r,
        k=solve_k(flat_f, flat_shares, r),
        f=f,
        shares=shares,
    )
