"""Keeps the budgets of all objectives up to date in the decide step: the day's row, and tickets on what burns.

A burning budget is a ticket, never a rollback.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec

from tidegauge.domain import DAY, HALLUCINATION, HOUR, Micros, Objective, iso
from tidegauge.openslo import JUDGED, Slo
from tidegauge.service import indicators, objectives, tickets
from tidegauge.service.budget import Budget, Burning, judged_budget, judged_intents
from tidegauge.storage import policies
from tidegauge.storage.policies import StoredObjective
from tidegauge.storage.store import Row, Store, Transaction, retry_conflicts

KIND = "budget_burn"

Moved = list[tuple[Budget, str]]
"""Budgets, each with what it was made from."""


class Objectives(msgspec.Struct, frozen=True):
    """What is wanted, as the configuration says it."""

    slo_of: Callable[[str, str], Slo | None]
    counted: Callable[[Sequence[str]], list[Slo]]
    as_objective: Callable[[Slo], Objective]


def check(store: Store, wanted: Objectives, now: Micros) -> list[Budget]:
    """Brings every budget whose evidence moved up to date; those that were."""
    with store.read() as tx:  # the long part; nobody who writes has to wait for it
        moved = _judged(tx, wanted)
        idle = not moved and not _unwanted(tx, wanted) and not wanted.counted(_intents(tx))
    if idle:
        return []
    return retry_conflicts(_keep, store, wanted, moved, now)


def _keep(store: Store, wanted: Objectives, judged: Moved, now: Micros) -> list[Budget]:
    with store.write() as tx:
        for ticket in _unwanted(tx, wanted):
            tickets.close_ticket(tx, ticket, now)
        moved = [*judged, *_counted(tx, wanted, now)]
        owners = {place: objective.owner for place, objective in policies.objectives_in_force(tx).items()}
        for budget, seen in moved:
            tx.run("keep_budget_day", **_day(budget, seen))
            place = (budget.indicator, budget.intent)
            slo = wanted.slo_of(*place)
            told = slo.notify[0] if slo is not None and slo.notify else owners.get(place, "platform")
            for level in budget.burning:
                _ticket(tx, budget, level, told, now)
    return [budget for budget, _ in moved]


def _intents(tx: Transaction) -> list[str]:
    return [row["intent"] for row in tx.rows("intents_of_segments")]


def _judged(tx: Transaction, wanted: Objectives) -> Moved:
    newest = tx.value("newest_traffic")
    if newest is None:
        return []
    labels = {
        row["intent"]: f"{int(row['returned'])}/{int(row['positives'])}"
        for row in tx.rows("labels_of_intents", indicator=HALLUCINATION)
    }
    seen = {(row["indicator"], row["intent"]): row["seen"] for row in tx.rows("newest_budgets")}
    experiments = {row["intent"] for row in tx.rows("intents_with_experiments")}
    found = []
    for slo, stored in judged_intents(policies.objectives_in_force(tx), wanted.slo_of, labels):
        # Items without a label only calm the evidence: once an hour is enough for them.
        mark = _mark(slo, stored, labels[slo.intent], newest // HOUR)
        if seen.get((slo.indicator, slo.intent)) != mark:
            found.append((judged_budget(tx, slo, stored, newest, slo.intent in experiments), mark))
    return found


def _counted(tx: Transaction, wanted: Objectives, now: Micros) -> Moved:
    newest = indicators.newest(tx)
    if newest is None:
        return []
    slos = [slo for slo in wanted.counted(_intents(tx)) if slo.indicator not in JUDGED]
    if not slos:
        return []
    stored = objectives.ensure_all(tx, [wanted.as_objective(slo) for slo in slos], now)
    seen = {(row["indicator"], row["intent"]): row["seen"] for row in tx.rows("newest_budgets")}
    marks = {(s.indicator, s.intent): _mark(s, stored[s.indicator, s.intent], "", newest) for s in slos}
    behind = [slo for slo in slos if seen.get((slo.indicator, slo.intent)) != marks[slo.indicator, slo.intent]]
    if not behind:
        return []
    counted = indicators.rollups(tx, behind, newest)
    return [
        (
            indicators.counted_budget(slo, indicators.hours(tx, slo, counted, newest, keep=True), newest),
            marks[slo.indicator, slo.intent],
        )
        for slo in behind
    ]


def _mark(slo: Slo, stored: StoredObjective, labels: str, when: int) -> str:
    """What a budget was made from."""
    levels = ",".join(f"{level.burn}/{level.hours:g}" for level in slo.levels)  # as the tickets write them
    return f"{stored.objective}:{slo.window.text}:{levels}:{labels}:{when}"


def _day(budget: Budget, seen: str) -> Row:
    return {
        "indicator": budget.indicator,
        "intent": budget.intent,
        "day": (budget.as_of - 1) // DAY,
        "seen": seen,
        "allowed": budget.allowed,
        "requests": budget.requests,
        "rate": budget.rate.est,
        "low": budget.rate.lo,
        "high": budget.rate.hi,
        "used": budget.used.est,
        "used_low": budget.used.lo,
        "used_high": budget.used.hi,
        "burn_rate": budget.burn_rate,
        "days_left": budget.days_left,
        "as_of": budget.as_of,
        "burning": json.dumps([shown_level(level) for level in budget.burning]),
    }


def shown_level(level: Burning) -> dict[str, Any]:
    log_e = level.log_e if level.log_e is not None and isfinite(level.log_e) else None
    return {
        "burn": level.burn,
        "hours": level.hours,
        "severity": level.severity,
        "log_e": log_e,
        "rate": level.rate,
        "proven": level.proven,
    }


def _ticket(tx: Transaction, budget: Budget, level: Burning, owner: str, now: Micros) -> None:
    """Opens what is proven, updates what is open, closes what has calmed down."""
    subject = {"indicator": budget.indicator, "intent": budget.intent, "burn": level.burn}
    ticket = tickets.ticket_id(KIND, subject)
    if level.calm and not level.proven:
        tickets.close_ticket(tx, ticket, now)
    elif level.proven or tx.value("ticket_is_open", ticket=ticket):
        tickets.open_ticket(tx, kind=KIND, subject=subject, owner=owner, evidence=_evidence(budget, level), now=now)


def _unwanted(tx: Transaction, wanted: Objectives) -> list[str]:
    """Open tickets of burn levels, or of whole objectives, that nobody states any more."""
    found = []
    for row in tx.rows("open_subjects", kind=KIND):
        subject = json.loads(row["subject"])
        slo = wanted.slo_of(subject["indicator"], subject["intent"])
        levels = slo.levels if slo is not None else ()
        stated = [tickets.ticket_id(KIND, subject | {"burn": level.burn}) for level in levels]
        if row["ticket"] not in stated:
            found.append(str(row["ticket"]))
    return found


def _evidence(budget: Budget, level: Burning) -> dict[str, Any]:
    return {
        "objective": budget.allowed,
        "window": budget.window,
        "rate": budget.rate.est,
        "low": budget.rate.lo,
        "high": budget.rate.hi,
        "budget_used": budget.used.est,
        "exhausted_on": exhausted_on(budget.as_of, budget.days_left),
        "as_of": iso(budget.as_of),
        **shown_level(level),
    }


def exhausted_on(as_of: Micros, days_left: int | None) -> str | None:
    """The day on which the budget is used up, as far as one can tell; None where it is not within its window."""
    return None if days_left is None else iso(as_of + days_left * DAY)[:10]


def shown_budget(row: Mapping[str, Any]) -> dict[str, Any]:
    """A budget as JSON, the same words wherever it is shown."""
    return {
        "indicator": row["indicator"],
        "intent": row["intent"],
        "objective": row["allowed"],
        "requests": round(row["requests"]),
        "rate": row["rate"],
        "low": row["low"],
        "high": row["high"],
        "budget_used": row["used"],
        "budget_low": row["used_low"],
        "budget_high": row["used_high"],
        "burn_rate": row["burn_rate"],
        "exhausted_on": exhausted_on(row["as_of"], row["days_left"]),
        "as_of": iso(row["as_of"]),
        "burning": json.loads(row["burning"]),
    }
