"""Wishes for evidence: labels are missing where they would decide.

A wish is a ticket, moves waiting cases to the front, and raises how often its deployment is sampled. It ends with the
need for it, with the deployment, and with the test: nobody can ask more of what no traffic comes to any more.
"""

from collections.abc import Mapping, Sequence

from tidegauge.domain import DAY, Micros, Value
from tidegauge.service import incidents, tickets
from tidegauge.storage import sampling
from tidegauge.storage.evidence import TestKey
from tidegauge.storage.sampling import Plan
from tidegauge.storage.store import Transaction

WANTED = "evidence_wanted"
FACTOR = 5
"""How many times as much is sampled."""

_PRIORITY = 10.0  # what the priority of waiting cases is raised by
_RAISED, _ENDED = f"{WANTED}, by tidegauge: ", f"{WANTED} no more, by tidegauge: "


class Escalation(Value, frozen=True, kw_only=True):
    """A wish: sample this deployment of this intent five times as much, from now on."""

    intent: str
    deployment: str
    why: str = ""


def begin(tx: Transaction, key: TestKey, owner: str, found: Mapping[str, float], now: Micros) -> Escalation | None:
    """The wish of a test, once per test."""
    subject = tickets.subject_of(key.indicator, key.intent, key.deployment, key.episode)
    tickets.open_ticket(tx, kind=WANTED, subject=subject, owner=owner, evidence=dict(found), now=now)
    tx.run("raise_cases", indicator=key.indicator, test_key=key.test_key, step=_PRIORITY, why=WANTED)
    if key.escalated:
        return None
    items = found["judged"] + found["unscored"]
    why = f"{found['flagged']} of {items} flagged, {found['labelled']} of {found['reviewed']} reviews came back"
    return Escalation(intent=key.intent, deployment=key.deployment, why=why)


def end(tx: Transaction, key: TestKey, now: Micros) -> None:
    subject = tickets.subject_of(key.indicator, key.intent, key.deployment, key.episode)
    tickets.close_ticket(tx, tickets.ticket_id(WANTED, subject), now)


def escalate(tx: Transaction, wish: Escalation, now: Micros) -> Plan | None:
    """Writes the plan row of a wish; None where one holds already, or would change nothing.

    Nor in a replay, whose newest event is a day from the clock: nothing more is to come of it.
    """
    newest = sampling.newest_event(tx)
    if newest is None or abs(now - newest) > DAY:
        return None
    place = (wish.intent, wish.deployment)
    if _higher(sampling.plans(tx), place, sampling.earliest(tx, now)) is None:
        return None  # before the lock, which holds up every commit
    sampling.lock(tx, shared=False)
    plans, start = sampling.plans(tx), sampling.earliest(tx, now)
    found = _higher(plans, place, start)
    if found is None:
        return None
    standing, rate = found
    reason = f"{_RAISED}{wish.why}; before {standing.rate:g}"
    return sampling.add_plan(tx, start, rate, *place, plans[0].key_fingerprint, reason, now)


def _higher(plans: Sequence[Plan], place: tuple[str, str], time: Micros) -> tuple[Plan, float] | None:
    """The plan in force and the rate to raise it to; None where it is raised already, or can be no higher."""
    standing = sampling.in_force(plans, *place, time)
    if standing is None or _is_raised(plans, place, time):
        return None
    rate = min(1.0, FACTOR * standing.rate)
    return (standing, rate) if rate > standing.rate else None


def check(tx: Transaction, escalates: bool, now: Micros) -> list[Plan]:
    """Ends wishes of tests that are over, then escalations that no wish needs; the rows that say so.

    A wish whose row was never written, since the job was cut short before it, gets it now.
    """
    wanted = set()
    for key in [TestKey(**row) for row in tx.rows("wishes")]:
        if not incidents.is_live(tx, key):
            end(tx, key, now)
            tx.run("end_wish", test_key=key.test_key)
        elif escalates:
            wanted.add((key.intent, key.deployment))
    raised = _ever_raised(sampling.plans(tx))
    for intent, deployment in sorted(wanted - raised):
        escalate(tx, Escalation(intent=intent, deployment=deployment, why="begun by an earlier look"), now)
    return _relax(tx, raised - wanted, now) if raised - wanted else []


def _relax(tx: Transaction, raised: set[tuple[str, str]], now: Micros) -> list[Plan]:
    """Those places back to what the rows of people say. Where they set another rate meanwhile, that one stays."""
    plans = sampling.plans(tx)
    start = sampling.earliest(tx, now)
    if not any(_is_raised(plans, place, start) for place in raised):
        return []
    sampling.lock(tx, shared=False)
    plans, start = sampling.plans(tx), sampling.earliest(tx, now)
    ours = (_RAISED, _ENDED)
    theirs = [plan for plan in plans if not plan.reason.startswith(ours)]
    found = []
    for place in sorted(raised):
        former = sampling.in_force(theirs, *place, start)
        if former is not None and _is_raised(plans, place, start):
            reason = f"{_ENDED}as in plan {former.plan}"
            print_ = plans[0].key_fingerprint
            found.append(sampling.add_plan(tx, start, former.rate, *place, print_, reason, now))
    return found


def _ever_raised(plans: Sequence[Plan]) -> set[tuple[str, str]]:
    return {(plan.intent, plan.deployment) for plan in plans if plan.reason.startswith(_RAISED)}


def _is_raised(plans: Sequence[Plan], place: tuple[str, str], time: Micros) -> bool:
    plan = sampling.in_force(plans, *place, time)
    return plan is not None and plan.reason.startswith(_RAISED)
