"""The budgets of all objectives as they are shown: by `tidegauge slo budget`, its history, the metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidegauge.domain import DAY, HALLUCINATION, Micros, iso
from tidegauge.openslo import JUDGED, Slo
from tidegauge.service import indicators
from tidegauge.service.budget import Budget, Segment, judged_budget, judged_intents, segment_budgets
from tidegauge.service.burning import Objectives, exhausted_on, shown_budget, shown_level
from tidegauge.slo import Estimate
from tidegauge.slo.budget import Used, span
from tidegauge.storage import policies
from tidegauge.storage.store import Transaction


class Measured(msgspec.Struct, frozen=True):
    """An objective with its budget, and its segments where they are asked for."""

    slo: Slo
    budget: Budget
    segments: Sequence[tuple[Segment, float, Estimate, Used]] = ()
    minutes: Mapping[int, float] = {}
    """Rates of the last 5 and 30 minutes, where they are counted."""


def measured(tx: Transaction, wanted: Objectives, *, segments: bool = False) -> list[Measured]:
    """The budget of every objective that is measured, now."""
    return _judged(tx, wanted, segments) + _counted(tx, wanted, segments)


def _judged(tx: Transaction, wanted: Objectives, segments: bool) -> list[Measured]:
    newest = tx.value("newest_traffic")
    if newest is None:
        return []
    experiments = {row["intent"] for row in tx.rows("intents_with_experiments")}
    intents = [row["intent"] for row in tx.rows("labels_of_intents", indicator=HALLUCINATION)]
    return [
        Measured(
            slo,
            judged_budget(tx, slo, stored, newest, slo.intent in experiments),
            segment_budgets(tx, slo, stored.false_positive_rate, newest) if segments else (),
        )
        for slo, stored in judged_intents(policies.objectives_in_force(tx), wanted.slo_of, intents)
    ]


def _counted(tx: Transaction, wanted: Objectives, segments: bool) -> list[Measured]:
    newest = indicators.newest(tx)
    if newest is None:
        return []
    slos = [slo for slo in _others(tx, wanted) if slo.indicator not in JUDGED]
    counted = indicators.rollups(tx, slos, newest) if slos else {}
    short = indicators.short_rates(tx, slos, newest) if slos else {}
    found = []
    for slo in slos:
        series = indicators.hours(tx, slo, counted, newest, keep=False)
        parts = indicators.segment_rates(slo, series, span(slo.window, newest).passed) if segments else ()
        place = (slo.indicator, slo.intent)
        minutes = {length: rate for (*of, length), rate in short.items() if tuple(of) == place}
        found.append(Measured(slo, indicators.counted_budget(slo, series, newest), parts, minutes))
    return found


def _others(tx: Transaction, wanted: Objectives) -> list[Slo]:
    return wanted.counted([row["intent"] for row in tx.rows("intents_of_segments")])


def budget_rows(tx: Transaction, wanted: Objectives, *, segments: bool = False) -> list[dict[str, Any]]:
    """As `tidegauge slo budget --json` prints them. An objective that nothing measures is unknown, and says why."""
    rows = []
    for one in measured(tx, wanted, segments=segments):
        whole = as_row(one.budget)
        rows.append(whole)
        rows += [_segment_row(whole, *part) for part in one.segments]
    newest = indicators.newest(tx)
    unmeasured = [slo for slo in _others(tx, wanted) if slo.indicator in JUDGED]
    return rows + [_unknown(slo, newest or 0) for slo in unmeasured]


def as_row(budget: Budget) -> dict[str, Any]:
    return {
        "indicator": budget.indicator,
        "intent": budget.intent,
        "objective": budget.allowed,
        "window": budget.window,
        "requests": round(budget.requests),
        "rate": budget.rate.est,
        "low": budget.rate.lo,
        "high": budget.rate.hi,
        "budget_used": budget.used.est,
        "budget_low": budget.used.lo,
        "budget_high": budget.used.hi,
        "burn_rate": budget.burn_rate,
        "exhausted_on": exhausted_on(budget.as_of, budget.days_left),
        "as_of": iso(budget.as_of),
        "burning": [shown_level(level) for level in budget.burning],
    }


def _segment_row(
    whole: dict[str, Any], segment: Segment, requests: float, rate: Estimate, used: Used
) -> dict[str, Any]:
    return {
        **whole,
        "cohort": segment[0],
        "experiment": segment[1],
        "requests": round(requests),
        "rate": rate.est,
        "low": rate.lo,
        "high": rate.hi,
        "budget_used": used.est,
        "budget_low": used.lo,
        "budget_high": used.hi,
        "burn_rate": None,
        "exhausted_on": None,
        "burning": [],
    }


def _unknown(slo: Slo, as_of: Micros) -> dict[str, Any]:
    names = ("rate", "budget_used", "budget_high", "burn_rate", "exhausted_on")
    return {
        "indicator": slo.indicator,
        "intent": slo.intent,
        "objective": slo.allowed,
        "window": slo.window.text,
        "requests": 0,
        **dict.fromkeys(names),
        "low": 0.0,
        "high": 1.0,
        "budget_low": 0.0,
        "as_of": iso(as_of),
        "burning": [],
        "state": "unknown",
        "reason": "budgets of judged indicators other than hallucination are not kept; see tidegauge slo",
    }


def budget_days(tx: Transaction, intent: str | None = None) -> list[dict[str, Any]]:
    """Every budget as it stood at the end of each event day."""
    return [
        {"day": iso(row["day"] * DAY)[:10], **shown_budget(row)}
        for row in tx.rows("budget_history")
        if intent is None or row["intent"] == intent
    ]
