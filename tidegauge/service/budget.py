"""The error budget of judged answers: an intent over its deployments, production alone, and whether it burns.

Requests of an experiment are no production: they count in a segment of their own, never in the budget.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from tidegauge.domain import DAY, HALLUCINATION, HOUR, TEST_BLOCK, Micros, Value
from tidegauge.openslo import Level, Slo
from tidegauge.service.objectives import rule_of
from tidegauge.service.rate import COMPLETE
from tidegauge.slo import UNKNOWN, Estimate, RateSums, estimate, rate_terms
from tidegauge.slo.budget import PACE_DAYS, Day, Span, Used, budget_used, days_left, every_day, span
from tidegauge.slo.burn import Items, block_sums, calmed, rule_at, windowed_evidence
from tidegauge.storage.policies import StoredObjective
from tidegauge.storage.store import Row, Transaction

BLOCKS_A_DAY = DAY // TEST_BLOCK
_LOOK_BACKS = (6, 24, 72)

Segment = tuple[str, str]
"""Cohort and experiment; production is every segment without an experiment."""


class Burning(Value, frozen=True, kw_only=True):
    """What is known of one burn level. `log_e` is None where counts decide."""

    burn: float
    hours: float
    severity: str
    log_e: float | None = None
    rate: float | None = None
    """How many times the objective the look-back burnt."""
    proven: bool = False
    calm: bool = True


class Budget(Value, frozen=True, kw_only=True):
    """The budget of an indicator and an intent in its window, as of an event time."""

    indicator: str
    intent: str
    allowed: float
    window: str
    requests: float
    rate: Estimate
    used: Used
    burn_rate: float | None
    """Rate of the last seven days against the objective."""
    days_left: int | None
    as_of: Micros
    burning: tuple[Burning, ...] = ()
    recent: Mapping[int, float] = {}
    """Rates of the last so many hours, where they are known."""


class Stratum(NamedTuple):
    """Where a sum of rates belongs."""

    test_key: str
    deployment: str
    segment: Segment
    block: int
    evaluator: str
    bin: int


Rates = Sequence[tuple[Stratum, RateSums]]


def judged_budget(tx: Transaction, slo: Slo, stored: StoredObjective, now: Micros, experiments: bool) -> Budget:
    """The hallucination budget at an event time. `experiments`: whether the intent has traffic of any."""
    period = span(slo.window, now)
    rates = _rates(tx, slo.intent, period, now, experiments)
    return _budget(slo, stored, period, now, rates, _burning(tx, slo, stored, now))


def segment_budgets(
    tx: Transaction, slo: Slo, false_positive_rate: float, now: Micros
) -> list[tuple[Segment, float, Estimate, Used]]:
    """Requests, rate and budget of every cohort and experiment; the budget is the segment's own."""
    period = span(slo.window, now)
    found: dict[Segment, list[tuple[Stratum, RateSums]]] = defaultdict(list)
    for stratum, sums in _by_item(tx, slo.intent, period, now):
        found[stratum.segment].append((stratum, sums))
    rows = []
    for segment, rates in sorted(found.items()):
        rate = rate_over(rates, false_positive_rate)
        used = budget_used(rate, slo.allowed, period.passed)
        rows.append((segment, sum(sums.w for _, sums in rates), rate, used))
    return rows


def deployment_segments(
    tx: Transaction, slo: Slo, false_positive_rate: float, now: Micros
) -> dict[str, list[tuple[Segment, float, Estimate]]]:
    """Requests and rate of every cohort and experiment of every deployment, within the window."""
    parts: dict[tuple[str, Segment], list[tuple[Stratum, RateSums]]] = defaultdict(list)
    for stratum, sums in _by_item(tx, slo.intent, span(slo.window, now), now):
        parts[stratum.deployment, stratum.segment].append((stratum, sums))
    found: dict[str, list[tuple[Segment, float, Estimate]]] = defaultdict(list)
    for (deployment, segment), rates in sorted(parts.items()):
        rate = rate_over(rates, false_positive_rate)
        found[deployment].append((segment, sum(sums.w for _, sums in rates), rate))
    return found


def rate_over(rates: Rates, false_positive_rate: float) -> Estimate:
    """The rate over deployments; one of which no review came back is unknown, and left out."""
    strata: dict[tuple[str, str, int], RateSums] = {}
    returned: dict[str, float] = defaultdict(float)
    for stratum, sums in rates:
        place = (stratum.test_key, stratum.evaluator, stratum.bin)
        strata[place] = strata.get(place, RateSums()).plus(sums)
        returned[stratum.test_key] += sums.returned
    known = [sums for place, sums in strata.items() if returned[place[0]] > 0]
    return estimate(known, false_positive_rate) if known else UNKNOWN


def _budget(
    slo: Slo, stored: StoredObjective, period: Span, now: Micros, rates: Rates, burning: tuple[Burning, ...]
) -> Budget:
    rate = rate_over(rates, stored.false_positive_rate)
    since = now // TEST_BLOCK - PACE_DAYS * BLOCKS_A_DAY + 1
    recent = rate_over([part for part in rates if part[0].block >= since], stored.false_positive_rate)
    days = every_day(_days(rates, rate, recent, since), now)
    return Budget(
        indicator=slo.indicator,
        intent=slo.intent,
        allowed=slo.allowed,
        window=slo.window.text,
        requests=sum(sums.w for _, sums in rates),
        rate=rate,
        used=budget_used(rate, slo.allowed, period.passed),
        burn_rate=None if recent.est is None else recent.est / slo.allowed,
        days_left=None if rate.est is None else days_left(days, slo.allowed, slo.window, period.passed),
        as_of=now,
        burning=burning,
        recent=_recent(rates, stored.false_positive_rate, now),
    )


def _recent(rates: Rates, false_positive_rate: float, now: Micros) -> dict[int, float]:
    found = {}
    for hours in _LOOK_BACKS:
        first = (now - hours * HOUR) // TEST_BLOCK + 1
        rate = rate_over([part for part in rates if part[0].block >= first], false_positive_rate)
        if rate.est is not None:
            found[hours] = rate.est
    return found


def _days(rates: Rates, rate: Estimate, recent: Estimate, since: int) -> dict[int, Day]:
    """Requests a day, the bad ones spread evenly over the last seven days and over those before.

    A single day has too few labels to say anything of itself.
    """
    requests: dict[int, float] = defaultdict(float)
    for stratum, sums in rates:
        requests[stratum.block // BLOCKS_A_DAY] += sums.w
    late = {day for day in requests if day >= -(-since // BLOCKS_A_DAY)}
    total, of_late = sum(requests.values()), sum(requests[day] for day in late)
    now = rate.est if recent.est is None else recent.est
    before = max((rate.est or 0.0) * total - (now or 0.0) * of_late, 0.0) / max(total - of_late, 1e-9)
    return {day: Day(n, n * ((now or 0.0) if day in late else before)) for day, n in requests.items()}


def _blocks(period: Span, now: Micros) -> tuple[int, int]:
    return -(-period.start // TEST_BLOCK), now // TEST_BLOCK


def _rates(tx: Transaction, intent: str, period: Span, now: Micros, experiments: bool) -> Rates:
    if experiments:
        return [part for part in _by_item(tx, intent, period, now) if not part[0].segment[1]]
    first, last = _blocks(period, now)
    rows = tx.rows("budget_rates", indicator=HALLUCINATION, intent=intent, first=first, last=last)
    return [(_stratum(row), RateSums(*(row[name] for name in RateSums._fields))) for row in rows]


def _by_item(tx: Transaction, intent: str, period: Span, now: Micros) -> list[tuple[Stratum, RateSums]]:
    first, last = _blocks(period, now)
    found: dict[Stratum, RateSums] = {}
    for row in tx.rows("segment_items", indicator=HALLUCINATION, intent=intent, first=first, last=last):
        one = rate_terms(row["f"], row["pi"], bool(row["reviewed"]), bool(row["returned"]), row["y"], pi1=row["pi1"])
        stratum = _stratum(row)
        found[stratum] = found.get(stratum, RateSums()).plus([row["items"] * term for term in one])
    return list(found.items())


def _stratum(row: Row) -> Stratum:
    segment = (row["cohort"], row["experiment"])
    names = (row["test_key"], row["deployment"], segment)
    return Stratum(*names, int(row["block"]), row["evaluator_hash"], int(row["bin"]))


def _burning(tx: Transaction, slo: Slo, stored: StoredObjective, now: Micros) -> tuple[Burning, ...]:
    """Every burn level, by the detector at so many times the objective over the blocks that are complete."""
    keys = tx.rows("keys_of_intent", indicator=HALLUCINATION, intent=slo.intent)
    origin = min((int(k["first_block"]) for k in keys if k["objective"] == stored.objective), default=None)
    if origin is None:
        return tuple(Burning(burn=level.burn, hours=level.hours, severity=level.severity) for level in slo.levels)
    newest = now // TEST_BLOCK
    first = max(origin, newest - round(slo.window.days * BLOCKS_A_DAY) + 1)
    last = _complete(tx, slo.intent, first, newest)
    place = {"indicator": HALLUCINATION, "intent": slo.intent, "objective": stored.objective}
    items = [
        Items(int(r["block"]), r["f"], r["pi"], r["u"], bool(r["reviewed"]), int(r["y"]), int(r["items"]))
        for r in tx.rows("burn_items", **place, first=first, last=last)
    ]
    return tuple(_level(level, stored, items, first=first, last=last, origin=origin) for level in slo.levels)


def _level(
    level: Level, stored: StoredObjective, items: Sequence[Items], *, first: int, last: int, origin: int
) -> Burning:
    rule = rule_at(rule_of(stored), level.burn)
    if rule is None or last < first:  # where nothing can be read yet, nothing has calmed either
        return Burning(burn=level.burn, hours=level.hours, severity=level.severity, calm=rule is None)
    log_e = windowed_evidence(rule, block_sums(rule, items), first, last, origin)
    positives = sum(row.number for row in items if row.y)
    return Burning(
        burn=level.burn,
        hours=level.hours,
        severity=level.severity,
        log_e=log_e,
        proven=rule.breached(log_e, positives),
        calm=calmed(rule, log_e, first, last, origin),
    )


def _complete(tx: Transaction, intent: str, first: int, last: int) -> int:
    """The last block of the prefix of complete ones; `first - 1` where there is none."""
    for row in tx.rows("settled_blocks", intent=intent, first=first, last=last):
        if int(row["final"]) < COMPLETE * int(row["sampled"]):
            return int(row["block"]) - 1
    return last


def judged_intents(
    stored: Mapping[tuple[str, str], StoredObjective], slo_of: Callable[[str, str], Slo | None], intents: Iterable[str]
) -> list[tuple[Slo, StoredObjective]]:
    """Intents with traffic whose hallucination objective is in force."""
    found = []
    for intent in intents:
        slo, objective = slo_of(HALLUCINATION, intent), stored.get((HALLUCINATION, intent))
        if slo is not None and objective is not None:
            found.append((slo, objective))
    return found
