"""Tickets about the measurement: reviews that never come back, samples never judged, scores that changed meaning."""

import json
from collections.abc import Callable, Collection
from math import sqrt
from typing import NamedTuple

from tidegauge.domain import DAY, HALLUCINATION, MINUTE, TEST_BLOCK, UNSCORED_BIN, Micros
from tidegauge.service import tickets
from tidegauge.service.route import OLDEST_DAYS
from tidegauge.slo.canary import boundary
from tidegauge.storage.store import Transaction

UNRETURNED = 0.05
COVERAGE = 0.9
DRIFT_ALPHA = 0.001
UNANSWERED_FOR = 10 * MINUTE
"""A judge that does not answer for so long, or so often, is down."""

_UNRETURNED = "reviews_unreturned"
_COVERAGE = "coverage_low"
_DRIFT = "judge_drift"
_FEWEST = 20
_FEWEST_LABELS = 50
_FEWEST_POSITIVES = 5
_WINDOW = 28  # blocks: a week, ended a day ago, so that what is in work does not count
_RECENT = DAY // TEST_BLOCK


class _Finding(NamedTuple):
    kind: str
    intent: str
    evidence: dict[str, int]


def check(
    tx: Transaction,
    owner_of: Callable[[str], str],
    judge_owner: Callable[[str], str],
    now: Micros,
    judges: Collection[str] = (),
) -> None:
    """Opens and closes the tickets of every intent and evaluator; the owners of intents and of judges by name.

    `judges`: names of those that are on.
    """
    _judges(tx, judge_owner, judges, now)
    _reviews(tx, owner_of, now)
    _coverage(tx, owner_of, now)
    _drift(tx, judge_owner, now)


def _judges(tx: Transaction, judge_owner: Callable[[str], str], on: Collection[str], now: Micros) -> None:
    """Whether samples wait since a judge does not answer at all; one that is off keeps nobody waiting."""
    failing = {row["judge"]: row for row in tx.rows("judge_failures")}
    for name in sorted(failing.keys() | set(on)):
        subject, row = {"judge": name}, failing.get(name)
        if row is not None and name not in on:
            tx.run("judge_answered", judge=name)
        elif row is not None and (row["failures"] >= _FEWEST or now - row["since"] >= UNANSWERED_FOR):
            evidence = {"failures": int(row["failures"]), "calls": int(row["calls"]), "reason": row["reason"]}
            owner = judge_owner(name)
            tickets.open_ticket(tx, kind="judge_down", subject=subject, owner=owner, evidence=evidence, now=now)
            continue
        if row is None or name not in on:
            tickets.close_ticket(tx, tickets.ticket_id("judge_down", subject), now)


def _drift(tx: Transaction, judge_owner: Callable[[str], str], now: Micros) -> None:
    """Whether labels say more than scores were taken to mean: the sum of (R/pi)(Y - f) beyond its standard error."""
    newest = tx.value("newest_traffic")
    rows = tx.rows("surprise", first=int(newest or 0) // TEST_BLOCK - _WINDOW + 1)
    seen = {row["evaluator_hash"] for row in rows}
    for told in tx.rows("open_subjects", kind=_DRIFT):
        if json.loads(told["subject"])["hash"] not in seen:  # nothing was decided by it lately
            tickets.close_ticket(tx, told["ticket"], now)
    for row in rows:
        returned, positives = int(row["returned"]), int(row["positives"])
        surprise, variance = row["q"] - row["g"], row["qq"] - 2 * row["qg"] + row["gg"]
        bad = (
            returned >= _FEWEST_LABELS
            and positives >= _FEWEST_POSITIVES
            and surprise > boundary(returned, DRIFT_ALPHA) * sqrt(max(variance, 0.0))
        )
        subject = {"evaluator": row["name"], "hash": row["evaluator_hash"]}
        if bad:
            evidence = {"labelled": returned, "positives": positives, "surprise": surprise, "se": sqrt(variance)}
            owner = judge_owner(row["name"])
            tickets.open_ticket(tx, kind=_DRIFT, subject=subject, owner=owner, evidence=evidence, now=now)
        else:
            tickets.close_ticket(tx, tickets.ticket_id(_DRIFT, subject), now)


def _reviews(tx: Transaction, owner_of: Callable[[str], str], now: Micros) -> None:
    """Over the trailing event days that take part in tests: a bad month long ago is over."""
    newest = int(tx.value("newest_traffic") or 0) // DAY
    found = {
        row["intent"]: (int(row["due"]), int(row["missing"]))
        for row in tx.rows("reviews_due", indicator=HALLUCINATION, since=newest - OLDEST_DAYS, now=now)
    }
    for intent in sorted(found.keys() | _told(tx, _UNRETURNED)):
        due, missing = found.get(intent, (0, 0))
        finding = _Finding(_UNRETURNED, intent, {"due": due, "not_returned": missing, "days": OLDEST_DAYS})
        _set(tx, finding, due >= _FEWEST and missing > UNRETURNED * due, owner_of, now)


def _coverage(tx: Transaction, owner_of: Callable[[str], str], now: Micros) -> None:
    newest = tx.value("newest_traffic")
    if newest is None:
        return
    last = newest // TEST_BLOCK - _RECENT
    unscored = {
        row["intent"]: int(row["unscored"])
        for row in tx.rows("coverage", first=last - _WINDOW + 1, last=last, unscored=UNSCORED_BIN)
    }
    found = {
        row["intent"]: (int(row["sampled"]), int(row["final"]))
        for row in tx.rows("settled_cells", first=last - _WINDOW + 1, last=last)
    }
    for intent in sorted(found.keys() | _told(tx, _COVERAGE)):
        sampled, final = found.get(intent, (0, 0))
        judged = final - unscored.get(intent, 0)
        finding = _Finding(_COVERAGE, intent, {"sampled": sampled, "judged": judged})
        _set(tx, finding, sampled >= _FEWEST and judged < COVERAGE * sampled, owner_of, now)


def _told(tx: Transaction, kind: str) -> set[str]:
    """Intents with an open ticket: also one without traffic by now is looked at, and its ticket closes."""
    return {json.loads(row["subject"])["intent"] for row in tx.rows("open_subjects", kind=kind)}


def _set(tx: Transaction, finding: _Finding, bad: bool, owner_of: Callable[[str], str], now: Micros) -> None:
    subject = {"intent": finding.intent}
    if bad:
        owner = owner_of(finding.intent)
        tickets.open_ticket(
            tx, kind=finding.kind, subject=subject, owner=owner, evidence=dict(finding.evidence), now=now
        )
    else:
        tickets.close_ticket(tx, tickets.ticket_id(finding.kind, subject), now)
