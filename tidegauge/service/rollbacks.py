"""Moves rollbacks along by themselves: whose turn it is, what has waited too long, and whether one helped."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tidegauge import show
from tidegauge.config import RollbackSection
from tidegauge.domain import DAY, HOUR, SECOND, DeliveryState, Incident, IncidentState, Micros, Stage
from tidegauge.service import incidents, stops, tickets
from tidegauge.service.last_good import last_good
from tidegauge.service.protocol import FAILED, TIDEGAUGE, failed_subject, move, note
from tidegauge.service.rate import shown
from tidegauge.storage import evidence
from tidegauge.storage.sampling import FIVE_MINUTES
from tidegauge.storage.store import Row, Transaction

TAIL = 3  # buckets: a quarter of an hour
FEWEST = 20  # requests before a share says anything
_EXPECTED = 30  # requests that the deployment would have had at its share before
_GONE = 10  # the same, where none at all is seen
_HUNDRED = 100

UNDELIVERED = "undelivered"
"""The event of a rollback that the receiver does not take."""

Body = Callable[[Incident], bytes]


class Bucket(NamedTuple):
    """Five minutes of an intent's requests, and how many of them were the deployment's."""

    number: int
    own: int
    requests: int


class Share(NamedTuple):
    own: int
    requests: int

    @property
    def value(self) -> float:
        return self.own / self.requests if self.requests else 0.0


class _Place(NamedTuple):
    intent: str
    deployment: str
    first_at: Micros


def tail(buckets: Sequence[Bucket], newest: int, fewest: float = FEWEST) -> Share:
    """The newest quarter of an hour, more where it has too few requests; `buckets` from the newest backwards."""
    own = requests = 0
    for bucket in buckets:
        if bucket.number <= newest - TAIL and requests >= fewest:
            break
        own += bucket.own
        requests += bucket.requests
    return Share(own, requests)


def helped(
    buckets: Sequence[Bucket], *, since: Micros, now: Micros, before: float, terms: RollbackSection
) -> bool | None:
    """Whether the traffic left the deployment; None while that cannot be told. Times are event times.

    `before` is its share before the rollback: a canary of 4 % has not left because it is below 5 %. Buckets that began
    before `since` are mixed and do not count. Without any request of the intent it takes a day to say so.
    """
    limit = min(terms.verify_share, before / 2)
    fewest = max(float(FEWEST), _EXPECTED / before)
    share = tail([b for b in buckets if b.number * FIVE_MINUTES >= since], now // FIVE_MINUTES, fewest)
    if share.requests >= fewest and share.value < limit:
        return True
    if now - since < terms.verify_minutes * 60 * SECOND:
        return None
    if share.requests == 0:
        return True if now - since >= DAY else None
    return share.value < limit


def release(tx: Transaction, terms: RollbackSection, body: Body, now: Micros) -> None:
    """Approves what needs no person, then sends the next rollback whose turn it is; at most one is under way."""
    tx.run("hold_turn")
    for row in _in(tx, Stage.PROPOSED):
        if row["delivery"] == DeliveryState.DUE and _stands(tx, row):
            move(tx, row["incident"], Stage.APPROVED, who=TIDEGAUGE, why="automatic", now=now)
    for row in _in(tx, Stage.APPROVED):
        if tx.rows("in_flight"):
            return
        if not _must_wait(tx, row, terms, now) and _stands(tx, row):
            _send(tx, row, terms, body, now)


def _in(tx: Transaction, *stages: Stage) -> list[Row]:
    return tx.rows("incidents_in_stages", stages=[s.value for s in stages])


def _stands(tx: Transaction, row: Row) -> bool:
    """Locks an incident that was read without a lock; whether no other worker and no person moved it meanwhile."""
    locked = tx.first("lock_incident", incident=row["incident"])
    return locked is not None and all(row[name] == value for name, value in locked.items())


def _must_wait(tx: Transaction, row: Row, terms: RollbackSection, now: Micros) -> bool:
    if stops.is_stopped(stops.stopped(tx, now), row["intent"]):
        return True
    cool_down = round(terms.cool_down_hours * HOUR)
    others = [e for e in tx.rows("sent_since", since=now - max(DAY, cool_down)) if e["incident"] != row["incident"]]
    if sum(e["at"] > now - DAY for e in others) >= terms.most_per_day:
        return True
    return any(e["intent"] == row["intent"] and e["at"] > now - cool_down for e in others)


def _send(tx: Transaction, row: Row, terms: RollbackSection, body: Body, now: Micros) -> None:
    """Looks once more before the first attempt: is the deployment still in use, is the last good one still good?"""
    incident = row["incident"]
    if _has_left(tx, row, terms):
        move(tx, incident, Stage.CANCELLED, who=TIDEGAUGE, why="its traffic has left by itself", now=now)
        tx.run("end_tests", incident=incident)
        incidents.stop_deliveries(tx, incident, now)
        tx.run("set_incident_state", incident=incident, state=IncidentState.RESOLVED.value)
        return
    good = last_good(tx, _Place(row["intent"], row["deployment"], row["opened_at"]))
    if good != row["last_good"]:
        if tx.value("times_tried", incident=incident):  # a receiver acts once for each webhook-id
            fail(tx, row, "the last good deployment it names is good no more", now)
            return
        tx.run("set_last_good", incident=incident, last_good=good)
        tx.run("set_body", incident=incident, body=body(incidents.load(tx, incident)))
        note(tx, incident, who=TIDEGAUGE, what="last_good", why=f"now {good or 'none'}", now=now)
    share = _measure(tx, row, now)
    move(tx, incident, Stage.SENT, who=TIDEGAUGE, why=f"it has {100 * share:.0f} % of the intent's requests", now=now)
    tx.run("begin_delivery", incident=incident, now=now)  # the wait for its turn makes no dead letter


def _has_left(tx: Transaction, row: Row, terms: RollbackSection) -> bool:
    """Whether nothing of it is seen for a day, or where, at its share of the day, ten requests would be."""
    newest = int(tx.value("newest_traffic") or 0)
    day = _buckets(tx, row, newest - DAY)
    hour = [b for b in day if b.number * FIVE_MINUTES > newest - terms.verify_minutes * 60 * SECOND]
    share = Share(sum(b.own for b in day), sum(b.requests for b in day))
    if newest and not share.own:
        return True
    return not any(b.own for b in hour) and share.value * sum(b.requests for b in hour) >= _GONE


def _measure(tx: Transaction, row: Row, now: Micros) -> float:
    """Keeps event time and the deployment's present share, which what follows is compared with; the share."""
    newest = int(tx.value("newest_traffic") or 0)
    day = _buckets(tx, row, newest - DAY)
    lately = tail(day, newest // FIVE_MINUTES, _HUNDRED).value
    share = lately or Share(sum(b.own for b in day), sum(b.requests for b in day)).value or 1.0
    tx.run("measure_from", incident=row["incident"], event_time=_event_time(tx, now), share=share)
    return share


def still_good(tx: Transaction, incident: str) -> bool:
    """Whether the deployment that an incident asks to go back to is not breached itself."""
    row = tx.first("incident", incident=incident)
    assert row is not None
    breached = {other["deployment"] for other in tx.rows("breached_deployments", intent=row["intent"])}
    return row["last_good"] not in breached


def acknowledged(tx: Transaction, incident: str, said: str, now: Micros) -> None:
    """The receiver said yes; from here on the traffic has to leave."""
    row = tx.first("incident", incident=incident)
    if row is None or row["stage"] != Stage.SENT:
        note(tx, incident, who=TIDEGAUGE, what="delivered", why=said, now=now)  # a replay, or no rollback at all
        return
    move(tx, incident, Stage.ACKNOWLEDGED, who=TIDEGAUGE, why=said, now=now)
    tx.run("measure_from", incident=incident, event_time=_event_time(tx, now), share=row["share_before"])


def fail(tx: Transaction, row: Row, why: str, now: Micros) -> None:
    """Ends it without success; a ticket says so to the owner."""
    if row["measured_from"] == 0:
        _measure(tx, row, now)
    move(tx, row["incident"], Stage.FAILED, who=TIDEGAUGE, why=why, now=now)
    owner = tx.value("owner_of_incident", incident=row["incident"]) or "platform"
    tickets.open_ticket(tx, kind=FAILED, subject=failed_subject(row), owner=owner, evidence={"why": why}, now=now)


def check(tx: Transaction, terms: RollbackSection, now: Micros) -> None:
    """Ends what waited too long, and looks whether what was sent helped."""
    stopped = stops.stopped(tx, now)
    for row in _in(tx, Stage.PROPOSED, Stage.APPROVED):
        if stops.is_stopped(stopped, row["intent"]):
            continue
        waits = row["delivery"] in (DeliveryState.HELD, DeliveryState.DUE)
        if waits and now - _waits_since(tx, row, now) > terms.approval_hours * HOUR and _stands(tx, row):
            waited = row["stage"] == Stage.PROPOSED and row["delivery"] == DeliveryState.HELD
            hold = "not approved" if waited else "its turn did not come"
            tx.rows("move_deliveries", incident=row["incident"], states=["due"], state="held", now=now)
            because = f"; {row['last_status']}" if row["delivery"] == DeliveryState.DUE and row["last_status"] else ""
            fail(tx, row, f"{hold} within {terms.approval_hours:g} hours{because}", now)
    for row in _in(tx, Stage.SENT, Stage.ACKNOWLEDGED, Stage.FAILED):
        _verify(tx, row, terms, now)
        tried = row["stage"] == Stage.SENT and not stops.is_stopped(stopped, row["intent"])
        if tried and now - row["stage_at"] > terms.verify_minutes * 60 * SECOND:
            _note_undelivered(tx, row, terms, now)
    _note_restored(tx, now)


def _waits_since(tx: Transaction, row: Row, now: Micros) -> Micros:
    """What a stop held back begins to wait anew when it ends; but what a person said may be too old by then."""
    if row["stage"] == Stage.APPROVED and tx.value("approved_by", incident=row["incident"]) != TIDEGAUGE:
        return int(row["stage_at"])
    return max(int(row["stage_at"]), int(tx.value("stopped_until", intent=row["intent"], now=now) or 0))


def _note_undelivered(tx: Transaction, row: Row, terms: RollbackSection, now: Micros) -> None:
    """Said once per time that it was sent, long before it is a dead letter: a person may have to act instead."""
    if _stands(tx, row):
        why = f"no yes from the receiver within {terms.verify_minutes:g} minutes; it is tried on"
        _note_once(tx, row["incident"], row["stage_at"], why, now)


def note_unsent(tx: Transaction, incident: str, why: str, now: Micros) -> None:
    """Locks an incident whose webhook cannot be sent as things are; said once per stage, if it is a rollback."""
    row = tx.first("lock_incident", incident=incident)
    if row is not None and row["stage"]:
        _note_once(tx, incident, row["stage_at"], why, now)


def _note_once(tx: Transaction, incident: str, since: Micros, why: str, now: Micros) -> None:
    history = tx.rows("incident_history", incident=incident)
    if not any(e["what"] == UNDELIVERED and e["at"] >= since for e in history):
        note(tx, incident, who=TIDEGAUGE, what=UNDELIVERED, why=why, now=now)


def _verify(tx: Transaction, row: Row, terms: RollbackSection, now: Micros) -> None:
    since, newest = row["measured_from"], int(tx.value("newest_traffic") or 0)
    buckets = _buckets(tx, row, since - FIVE_MINUTES)
    found = helped(buckets, since=since, now=newest, before=row["share_before"], terms=terms)
    why = f"the deployment still has traffic {terms.verify_minutes:g} minutes after"
    if found is None and _is_blind(tx, row, newest, terms, now):
        found, why = False, "the log stands still since: it cannot be told whether the traffic left"
    fails = found is False and row["stage"] == Stage.ACKNOWLEDGED
    if not (found or fails) or not _stands(tx, row):
        return
    if found:
        why = f"below {100 * terms.verify_share:g} % of the intent's requests"
        move(tx, row["incident"], Stage.VERIFIED, who=TIDEGAUGE, why=why, now=now)
        incidents.stop_deliveries(tx, row["incident"], now)
    else:
        fail(tx, row, why, now)


def _is_blind(tx: Transaction, row: Row, newest: Micros, terms: RollbackSection, now: Micros) -> bool:
    """Whether the time to verify passed by the clock, and no request came that could show it.

    It has a day where the log was an hour behind the clock already, and longer where something is still to be read.
    A log that goes on some minutes behind the clock does not stand still.
    """
    wait = terms.verify_minutes * 60 * SECOND
    if newest - row["measured_from"] >= wait or tx.value("latest_plan") is not None:
        return False
    if now - newest <= max(wait, HOUR):
        return False
    behind = row["stage_at"] - newest
    return bool(now - row["stage_at"] > (max(wait, DAY) if behind > HOUR else wait))


def _note_restored(tx: Transaction, now: Micros) -> None:
    """The rate of the deployment that took the traffic over, once, when labels tell it."""
    for row in tx.rows("verified_without_rate", since=now - 28 * DAY):
        heir = tx.value(
            "heir", intent=row["intent"], since=row["measured_from"] // FIVE_MINUTES, deployment=row["deployment"]
        )
        places = (row["indicator"], row["intent"], heir)
        keys = [key for key in evidence.keys(tx) if (key.indicator, key.intent, key.deployment) == places]
        if not keys:
            continue
        key = max(keys, key=lambda key: key.last_at)
        objective = tx.rows_in("rules_of_keys", "test_keys", [key.test_key])[0]
        rate = shown(tx, key, key.read_block, objective["false_positive_rate"]).rate
        if rate.est is None:
            continue
        tx.rows("lock_incident", incident=row["incident"])
        if tx.value("has_event", incident=row["incident"], what="restored_rate"):
            continue  # another worker has said it meanwhile
        name = show.deployment(incidents.deployment_fields(key.deployment, evidence.deployments(tx, [key.deployment])))
        other = "" if heir == row["last_good"] else ", which is not the last good one"
        why = f"{show.percent(rate.est)} {show.interval(rate.lo, rate.hi)} on {name}{other}"
        note(tx, row["incident"], who=TIDEGAUGE, what="restored_rate", why=why, now=now)


def _event_time(tx: Transaction, now: Micros) -> Micros:
    """The clock where the log is at most a day behind it, else the newest request: a replay has a time of its own."""
    newest = int(tx.value("newest_traffic") or now)
    return now if abs(now - newest) <= DAY else newest


def _buckets(tx: Transaction, row: Row, since: Micros) -> list[Bucket]:
    found = tx.rows("recent_traffic", intent=row["intent"], deployment=row["deployment"], since=since // FIVE_MINUTES)
    return [Bucket(int(b["bucket"]), int(b["own"]), int(b["requests"])) for b in found]
