"""Verdicts become outcomes: what is known is frozen, a keyed coin chooses the reviews, and the sums grow.

All in the transaction that makes the sample final. The first verdict of a sample stands.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from evaluators.cascade import INJECTION
from tidegauge.domain import (
    DAY,
    HALLUCINATION,
    HOUR,
    TESTED_TIERS,
    EvaluationState,
    Micros,
    Objective,
    Verdict,
    test_block,
)
from tidegauge.service import episodes, interlock, unanswerable
from tidegauge.service import policy as policy_service
from tidegauge.service.objectives import rule_of
from tidegauge.service.policy import Policy
from tidegauge.slo import clip_f, item_terms, rate_terms
from tidegauge.slo.policy import AUDIT_SHARE
from tidegauge.slo.surge import SURGE
from tidegauge.storage import reviews, verdicts
from tidegauge.storage.evidence import Additions, TestKey
from tidegauge.storage.store import Row, Transaction

OLDEST_DAYS = 28
"""Event days further behind the newest one of their intent are not routed."""

WANTED = "evidence_wanted"
SUSPICIOUS_SHARE = 0.5
"""Of a day's label budget that goes, with certainty, to samples that speak to the judge."""

_FIRST = 10.0  # priority of cases whose evidence is wanted
_HIGH_RISK = 1.0


@dataclass(frozen=True)
class Routing:
    """What routing needs beside the policies. `key` is the sampling key; reviews hash in a domain of their own."""

    key: bytes
    objective_of: Callable[[str], Objective]
    due_hours: float = 48.0
    further: Callable[[str, str], Objective | None] = lambda indicator, intent: None
    """The objective of a further indicator for an intent."""
    patient: bool = False
    """Whether a sample that could not be judged waits before the next try, as in a stream."""


class Routed(NamedTuple):
    """Ids of samples that became final, and the tests whose sums changed."""

    final: list[str]
    test_keys: set[str]


def commit_verdicts(
    tx: Transaction, found: Sequence[Verdict], policies: Mapping[str, Policy], routing: Routing, now: Micros
) -> Routed:
    """Writes verdicts, outcomes, sums and review cases of samples that are still pending.

    `policies` are those read at the start of the tick, by intent; one that is missing is made here. Verdicts of further
    indicators become final with the sample's own one; while one is pending the sample is, until it is given up.
    """
    found = unanswerable.give_up(tx, found, now)
    held = {v.request_id for v in found if v.state is EvaluationState.PENDING}
    settled = [_held(v) if v.request_id in held else v for v in found]
    final = verdicts.commit_verdicts(tx, settled, now, now if routing.patient else 0)
    by_id: dict[str, dict[str, Verdict]] = {}
    for verdict in found:
        by_id.setdefault(verdict.indicator, {}).setdefault(verdict.request_id, verdict)
    samples = sorted(
        tx.rows_in("samples_to_freeze", "ids", sorted(final)), key=lambda row: (row["timestamp"], row["request_id"])
    )
    test_keys: set[str] = set()
    for indicator in sorted(by_id):
        said = by_id[indicator]
        judged = [sample for sample in samples if sample["request_id"] in said]
        if judged:
            known = _policies(tx, judged, policies if indicator == HALLUCINATION else {}, routing, now, indicator)
            keys = episodes.keys_for(tx, _tested(tx, judged), known, now)
            writer = _Writer(tx, routing, keys, judged, now, indicator)
            for sample in judged:
                writer.freeze(sample, said[sample["request_id"]], known[sample["intent"]])
            test_keys |= writer.write()
    won = set(final)
    verdicts.add_totals(tx, (v for said in by_id.values() for name, v in said.items() if name in won))
    return Routed(final, test_keys)


def _held(verdict: Verdict) -> Verdict:
    """A verdict whose sample waits for another one."""
    if verdict.state is EvaluationState.PENDING:
        return verdict
    return msgspec.structs.replace(
        verdict, state=EvaluationState.PENDING, reason="pending: another indicator's judge could not be asked"
    )


def chosen(key: bytes, request_id: str, pi: float) -> bool:
    """The review coin: Bernoulli(pi), the same in every replay, independent of the sampling hash."""
    secret = hashlib.blake2b(key, digest_size=32).digest()
    digest = hashlib.blake2b(request_id.encode(), digest_size=8, key=secret, person=b"review").digest()
    return int.from_bytes(digest, "big") < pi * 2.0**64


def _policies(
    tx: Transaction,
    samples: Sequence[Row],
    policies: Mapping[str, Policy],
    routing: Routing,
    now: Micros,
    indicator: str,
) -> dict[str, Policy]:
    missing = sorted({row["intent"] for row in samples} - policies.keys())
    if not missing:
        return dict(policies)
    if indicator == HALLUCINATION:
        wanted = [routing.objective_of(intent) for intent in missing]
    else:
        wanted = [objective for intent in missing if (objective := routing.further(indicator, intent)) is not None]
    return {**policies, **policy_service.refresh(tx, wanted, now)}


def _tested(tx: Transaction, samples: Sequence[Row]) -> list[Row]:
    """Samples that take part in a test: answered by the deployment itself, and not too old."""
    intents = sorted({row["intent"] for row in samples})
    newest = {
        row["intent"]: row["last_at"] // DAY for row in tx.rows_in("newest_traffic_of_intents", "intents", intents)
    }
    return [
        row
        for row in samples
        if row["served_by"] in TESTED_TIERS
        and row["timestamp"] // DAY >= newest.get(row["intent"], row["timestamp"] // DAY) - OLDEST_DAYS
    ]


class _Writer:
    """Gathers the rows of one batch and writes them in a few statements."""

    def __init__(
        self,
        tx: Transaction,
        routing: Routing,
        keys: Mapping[str, TestKey],
        samples: Sequence[Row],
        now: Micros,
        indicator: str,
    ) -> None:
        self._tx, self._routing, self._keys, self._now = tx, routing, keys, now
        first_day = min(row["timestamp"] for row in samples) // DAY
        intents = [row["intent"] for row in samples]
        self._queued = reviews.queued_by_day(tx, intents, first_day, indicator)
        self._suspicious = reviews.queued_by_day(tx, intents, first_day, indicator, why=INJECTION)
        self._distrusted = interlock.distrusted(tx)
        self._additions = Additions()
        self._ids: dict[str, str] = {}
        """Of the policies, by intent: a hash of all that they say."""
        self._outcomes: list[Row] = []
        self._cases: list[Row] = []

    def freeze(self, sample: Row, verdict: Verdict, policy: Policy) -> None:
        key = self._keys.get(sample["request_id"])
        evaluator = verdict.decisive.content_hash if verdict.scores else ""
        event_block = test_block(sample["timestamp"])
        pi = self._pi(sample, verdict, policy, evaluator) if key else 0.0
        f = clip_f(self._f(verdict, policy, evaluator), pi)
        reviewed = pi > 0 and chosen(self._routing.key, sample["request_id"], pi)
        u = min(1.0, key.pi_ref / sample["pi1"]) if key else 0.0
        block = max(event_block, key.read_block) if key else event_block
        self._outcomes.append(
            {
                "request_id": sample["request_id"],
                "indicator": verdict.indicator,
                "test_key": key.test_key if key else None,
                "event_block": event_block,
                "test_block": block,
                "evaluator_hash": evaluator,
                "bin": verdict.bin,
                "policy": self._ids.get(policy.intent) or self._ids.setdefault(policy.intent, policy.id),
                "pi1": sample["pi1"],
                "u": u,
                "f": f,
                "pi": pi,
                "reviewed": int(reviewed),
                "why": verdict.why,
                "calibration": verdict.calibration,
                "spent": int(verdict.spent),
            }
        )
        if key is None:
            return
        terms = item_terms(rule_of(policy, key.bets), f, pi, reviewed, 0, u=u)
        self._additions.add_test(key.test_key, block, terms, 0)
        self._additions.add_rates(
            (key.test_key, event_block, evaluator, verdict.bin),
            rate_terms(f, pi, reviewed, False, 0, pi1=sample["pi1"]),
            flagged=int(bool(verdict.scores) and verdict.decisive.label == "hallucinated"),
        )
        if reviewed:
            self._queue(sample, policy, INJECTION if verdict.why == INJECTION else _why(policy, key, pi), f, pi)

    def _f(self, verdict: Verdict, policy: Policy, evaluator: str) -> float:
        return policy.theta0 if evaluator in self._distrusted else policy.f_of(evaluator, verdict.bin)

    def _pi(self, sample: Row, verdict: Verdict, policy: Policy, evaluator: str) -> float:
        # A day gets no more than a surge would: bin shares lag when a judge drifts. How full the day's queue is was
        # known before this item's coin: pi stays fixed in advance.
        place = (sample["intent"], sample["timestamp"] // DAY)
        if self._queued.get(place, 0) >= SURGE * policy.labels_per_day:
            return 0.0
        pi = policy.r if evaluator in self._distrusted else policy.pi_of(evaluator, verdict.bin)
        if verdict.why != INJECTION:
            return pi
        # However bad they are known to be, a flood of them gets no more than the share of all others.
        few = self._suspicious.get(place, 0) < SUSPICIOUS_SHARE * policy.labels_per_day
        return 1.0 if few else min(pi, policy.r)

    def _queue(self, sample: Row, policy: Policy, why: str, f: float, pi: float) -> None:
        day = sample["timestamp"] // DAY
        self._queued[sample["intent"], day] = self._queued.get((sample["intent"], day), 0) + 1
        if why == INJECTION:
            self._suspicious[sample["intent"], day] = self._suspicious.get((sample["intent"], day), 0) + 1
        urgent = (_FIRST if why == WANTED else 0.0) + (_HIGH_RISK if policy.risk == "high" else 0.0)
        self._cases.append(
            {
                "request_id": sample["request_id"],
                "indicator": policy.indicator,
                "intent": sample["intent"],
                "deployment": sample["deployment"],
                "why": why,
                "pi": pi,
                "priority": f + urgent,
                "event_day": day,
                "queued_at": self._now,
                "due_at": self._now + int(self._routing.due_hours * HOUR),
            }
        )

    def write(self) -> set[str]:
        self._tx.bulk("insert_outcome", self._outcomes)
        reviews.queue(self._tx, self._cases)
        return self._additions.write(self._tx)


def _why(policy: Policy, key: TestKey, pi: float) -> str:
    """Why a sample is reviewed."""
    if key.escalated == 1:
        return WANTED
    return "low_confidence" if pi > AUDIT_SHARE * policy.r else "audit"
