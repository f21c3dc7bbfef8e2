"""Looks at the evidence of a test; a breach writes its incident and webhook in the same transaction."""

from collections.abc import Callable, Mapping
from math import inf, log

from tidegauge.domain import TEST_BLOCK, Incident, Micros, Value
from tidegauge.service import incidents, interlock, mixes, stops, wishes
from tidegauge.service.rate import Shown, complete_to, shown
from tidegauge.service.wishes import Escalation
from tidegauge.slo import Rule, log_evidence
from tidegauge.slo.rates import wilson_lower
from tidegauge.storage import evidence
from tidegauge.storage.evidence import TestKey
from tidegauge.storage.store import Row, Transaction

_STRONG = log(10)
_FEWEST = 20  # items before the share that the judge flags says anything
_NAIVE = 2.0  # times the objective


class Decision(Value, frozen=True, kw_only=True):
    test_key: str
    log_e: float
    """Maximum so far of log M; -inf before the first complete block."""
    breach: bool
    incident: Incident | None = None
    """Only where it was opened by this decision."""
    escalation: Escalation | None = None
    """Only where evidence is wanted for the first time."""


class Reading(Value, frozen=True, kw_only=True):
    """What the complete blocks of a test say. `last` is the newest of them."""

    last: int
    log_e: float
    max_log_e: float
    positives: int


def behind(tx: Transaction, now: Micros) -> list[str]:
    """Tests whose sums changed since they were last decided, but for those of intents that people stopped."""
    stopped = stops.stopped(tx, now)
    return [row["test_key"] for row in tx.rows("keys_behind") if not stops.is_stopped(stopped, row["intent"])]


def decide(tx: Transaction, test_key: str, mode: str, body: Callable[[Incident], bytes], now: Micros) -> Decision:
    """Reads one test. `mode` is the rollback mode: dry_run, approve or auto; `body` writes the webhook's body."""
    key = evidence.lock_keys(tx, [test_key])[test_key]
    terms = tx.rows_in("rules_of_keys", "test_keys", [test_key])[0]
    rule = Rule(terms["theta0"], terms["alpha"], false_positive_rate=terms["false_positive_rate"], bets=terms["bets"])
    reading = read(tx, key, rule)
    seen = shown(tx, key, reading.last, rule.false_positive_rate)
    breach = rule.breached(reading.max_log_e, reading.positives)
    incident = None
    if not breach:
        mixes.end(tx, key, now)
    elif not tx.value("incident_of_key", test_key=test_key) and not mixes.alone(tx, key, terms["owner"], now):
        incident = incidents.open_incident(tx, key, _evidence(reading, rule, seen, mode), mode=mode, body=body, now=now)
    believed = not interlock.distrusted(tx)
    wanted = not breach and wants_evidence(seen, reading.max_log_e, rule, believed=believed)
    wanted = wanted and incidents.is_live(tx, key)
    escalation = _note_wish(tx, key, wanted, seen, terms=terms, now=now)
    tx.run(
        "record_decision",
        test_key=test_key,
        read_block=max(key.read_block, reading.last) if reading.last >= key.first_block else key.read_block,
        log_e=_finite(reading.log_e),
        max_log_e=_finite(reading.max_log_e),
        version=key.version,
        escalated=1 if wanted else min(key.escalated * 2, 2),
    )
    return Decision(test_key=test_key, log_e=reading.max_log_e, breach=breach, incident=incident, escalation=escalation)


def read(tx: Transaction, key: TestKey, rule: Rule) -> Reading:
    """The evidence over the prefix of complete blocks."""
    sums, positives = evidence.test_sums(tx, key.test_key)
    last = complete_to(tx, key, max(max(sums, default=key.first_block), key.last_at // TEST_BLOCK))
    series, top = log_evidence(rule, sums, key.first_block, last)
    return Reading(
        last=last,
        log_e=float(series[-1]) if series.size else -inf,
        max_log_e=top,
        positives=sum(count for block, count in positives.items() if block <= last),
    )


def wants_evidence(seen: Shown, max_log_e: float, rule: Rule, *, believed: bool = True) -> bool:
    """Whether labels are missing where they would decide; `believed` is whether the judge's flags mean anything.

    Either the evidence is strong (M >= 10) but rests on too few confirmed positives, or the judge flags clearly more
    than twice the objective while fewer than five labels, or less than half of those asked for, came back.
    """
    if seen.positives < rule.min_positives and max_log_e >= _STRONG:
        return True
    items = seen.judged + seen.unscored
    missing = believed and seen.labelled < max(rule.min_positives, seen.reviewed / 2)
    return missing and items >= _FEWEST and wilson_lower(seen.flagged / items, items) > _NAIVE * rule.theta0


def _note_wish(
    tx: Transaction, key: TestKey, wanted: bool, seen: Shown, *, terms: Row, now: Micros
) -> Escalation | None:
    """Begins or ends the wish where that changes."""
    if wanted and key.escalated != 1:
        return wishes.begin(tx, key, terms["owner"], _counts(seen) | {"objective": terms["theta0"]}, now)
    if key.escalated == 1 and not wanted:
        wishes.end(tx, key, now)
    return None


def _counts(seen: Shown) -> dict[str, int]:
    return {
        "judged": seen.judged,
        "unscored": seen.unscored,
        "flagged": seen.flagged,
        "reviewed": seen.reviewed,
        "labelled": seen.labelled,
        "positives": seen.positives,
    }


def _evidence(reading: Reading, rule: Rule, seen: Shown, mode: str) -> Mapping[str, object]:
    return {
        "log_e": reading.max_log_e,
        "alpha": rule.alpha,
        "theta0": rule.theta0,
        **_counts(seen),
        "rate": seen.rate.est,
        "low": seen.rate.lo,
        "high": seen.rate.hi,
        "as_of": seen.as_of,
        "mode": mode,
    }


def _finite(value: float) -> float:
    """0, the evidence of nothing, where there is none."""
    return 0.0 if value == -inf else value
