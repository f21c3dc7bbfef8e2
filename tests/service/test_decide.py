"""Decisions, incidents and wishes for evidence, on a real store."""

import math

import msgspec
import pytest

from tests.service.sums import check_sums, month, rows
from tests.service.world import NEW, NOW, OLD, body, commit, decide_all, ingest, judge, label, table
from tidegauge.domain import Deployment, Incident
from tidegauge.errors import UsageError
from tidegauge.service import incidents, tickets, words
from tidegauge.service.decide import behind
from tidegauge.service.wishes import Escalation
from tidegauge.slo import log_evidence
from tidegauge.slo.evidence import Rule
from tidegauge.storage import evidence
from tidegauge.storage.store import Store

TRIED = Deployment(model_version="m-0-mini", prompt_version="p-1", retrieval_index="i-1")


def test_without_labels_there_is_never_a_breach(store: Store):
    judge(store, month(200, every=0.1), bins=[7] * 200)
    decisions = decide_all(store)
    assert [d.breach for d in decisions] == [False]
    wish = decisions[0].escalation
    assert wish == Escalation(intent="refunds", deployment=NEW.id, why=wish.why)
    assert wish.why.startswith("200 of 200 flagged, 0 of ")
    assert table(store, "incidents") == []
    row = rows(store)[0]
    assert (row["rate"], row["low"], row["high"], row["state"]) == (None, 0, 1, "evidence_wanted")
    with store.read() as tx:
        assert [t["kind"] for t in tickets.ticket_rows(tx)] == ["evidence_wanted"]
    assert {c["why"] for c in table(store, "review_queue")} == {"evidence_wanted"}


def test_labels_answer_the_wish_for_evidence_and_it_is_made_once(store: Store):
    requests = month(100, every=0.1)
    judge(store, requests, bins=[7] * 100)
    decide_all(store)
    label(store, requests, False)
    assert decide_all(store)[0].escalation is None
    assert table(store, "tickets")[0]["state"] == "closed"
    assert rows(store)[0]["state"] == "ok"


def test_a_breach_opens_one_incident_with_its_delivery(store: Store):
    judge(store, month(20, OLD, start=500, first=0, every=0.1))
    bad = month(60, first=10, every=0.1)
    judge(store, bad)
    assert not any(d.breach for d in decide_all(store))
    label(store, bad[:20], True)
    found = [d for d in decide_all(store) if d.breach]
    incident = found[0].incident
    assert incident.deployment == NEW
    assert incident.last_good == OLD
    assert incident.evidence["log_e"] >= math.log(1000)
    assert incident.evidence["positives"] == 20
    assert len(incident.evidence["examples"]) == 5
    label(store, bad[20:30], True)
    assert [d.incident for d in decide_all(store)] == [None]
    assert len(table(store, "incidents")) == len(table(store, "outbox")) == len(table(store, "incident_events")) == 1
    assert table(store, "outbox")[0]["state"] == "due"
    states = {row["deployment"]["id"]: row["state"] for row in rows(store)}
    assert states[NEW.id] == "breach"
    check_sums(store)


def breach_on_the_next_day(store: Store) -> Incident:
    bad = month(60, first=28, every=0.1)
    judge(store, bad)
    label(store, bad[:20], True)
    (incident,) = [d.incident for d in decide_all(store) if d.incident]
    return incident


@pytest.mark.parametrize(
    ("canaries", "trial", "good"),
    [
        (6, {"experiment": "model-canary"}, OLD),
        (6, {}, TRIED),  # a release that was rolled out to some
        (30, {"experiment": "model-canary"}, TRIED),  # promoted: it has led
    ],
)
def test_nobody_is_sent_back_to_what_is_only_being_tried(store: Store, canaries: int, trial: dict, good: Deployment):
    judge(store, month(20, OLD, start=500, first=0, every=0.1))
    judge(store, month(canaries, TRIED, start=700, first=1, every=0.1, **trial))
    assert breach_on_the_next_day(store).last_good == good


def test_nobody_is_sent_back_to_a_configured_canary(store: Store):
    judge(store, month(20, OLD, start=500, first=0, every=0.1))
    judge(store, month(6, TRIED, start=700, first=1, every=0.1))
    with store.write() as tx:
        row = {"canary": "c", "name": "c", "deployment": TRIED.id, "started_at": 0, "state": "running"}
        tx.run("keep_canary", **row, evidence="{}", breached_at=None)
    assert breach_on_the_next_day(store).last_good == OLD


def historical(store: Store, mode: str = "auto") -> Incident:
    """A breach of a deployment that has no traffic any more."""
    bad = month(40, OLD, every=0.1)
    judge(store, bad, owner="payments")
    judge(store, month(5, start=500, first=60), owner="payments")
    label(store, bad[:20], True)
    (found,) = [d.incident for d in decide_all(store, mode) if d.incident]
    return found


def test_a_breach_of_a_deployment_without_traffic_asks_for_nothing(store: Store):
    incident = historical(store)
    assert (incident.state, incident.last_good) == ("historical", None)
    (ticket,) = [t for t in table(store, "tickets") if t["kind"] == "breach_historical"]
    assert (ticket["owner"], ticket["state"]) == ("payments", "open")


@pytest.mark.parametrize(
    ("mode", "sent", "how"), [("dry_run", False, "cancel"), ("approve", False, "resolve"), ("auto", True, "resolve")]
)
def test_who_has_seen_to_an_old_breach_closes_it_and_its_ticket(store: Store, mode: str, sent: bool, how: str):
    incident = historical(store, mode)
    with store.write() as tx:
        (row,) = incidents.incident_rows(tx)
        assert [step.partition(": ")[2] for step in words.next_steps(row)] == [
            f"tidegauge incidents resolve {incident.id}"
        ]
        if sent:
            tx.rows("move_deliveries", incident=incident.id, states=["due"], state="delivered", now=NOW)
        getattr(incidents, how)(tx, incident.id, "ann", "seen", NOW)
        assert incidents.load(tx, incident.id).state == {"cancel": "cancelled", "resolve": "resolved"}[how]
        (delivery,) = tx.rows("incident_deliveries")
    assert delivery["state"] == ("delivered" if sent else "cancelled")
    assert [t["state"] for t in table(store, "tickets") if t["kind"] == "breach_historical"] == ["closed"]
    with store.write() as tx, pytest.raises(UsageError):
        incidents.resolve(tx, incident.id, "ann", "again", NOW)


def test_old_breaches_of_two_indicators_are_two_tickets(store: Store):
    first = historical(store)
    with store.write() as tx:
        key = next(key for key in evidence.keys(tx) if key.deployment == OLD.id)
        other = msgspec.structs.replace(key, indicator="refusal", test_key="another")
        found = {**first.evidence, "as_of": NOW}
        incidents.open_incident(tx, other, found, mode="dry_run", body=body, now=NOW)
    assert len([t for t in table(store, "tickets") if t["kind"] == "breach_historical"]) == 2


def test_an_incomplete_block_is_not_read(store: Store):
    requests = month(40, every=0.5)
    with store.write() as tx:
        ingest(tx, requests)
    commit(store, requests[:11] + requests[13:])
    label(store, requests[:11] + requests[13:], True)
    decision = decide_all(store)[0]
    assert decision.log_e == -math.inf
    assert not decision.breach
    commit(store, requests[11:13])
    assert decide_all(store)[0].breach


def test_decisions_are_made_once_per_change(store: Store):
    requests = month(5, every=0.1)
    judge(store, requests)
    assert len(decide_all(store)) == 1
    assert decide_all(store) == []
    label(store, requests[:1], False)
    with store.read() as tx:
        assert len(behind(tx, 0)) == 1


def test_the_store_and_the_pure_functions_agree(store: Store):
    requests = month(60, every=0.5)
    judge(store, requests)
    label(store, requests[:4], True)
    decision = decide_all(store)[0]
    sums = {r["block"]: [r[f"s{k}"] for k in range(8)] for r in table(store, "test_sums")}
    assert decision.log_e == pytest.approx(log_evidence(Rule(0.03, bets=5), sums, min(sums), max(sums))[1])


@pytest.mark.parametrize(("mode", "state"), [("dry_run", "dry_run"), ("approve", "held"), ("auto", "due")])
def test_delivery_follows_the_mode(store: Store, mode, state):
    requests = month(30, every=0.1)
    judge(store, requests)
    label(store, requests, True)
    incident = decide_all(store, mode)[0].incident.id
    assert table(store, "outbox")[0]["state"] == state
    with store.write() as tx:
        if mode == "approve":
            incidents.approve(tx, incident, "ann", "seen", 5)
            assert incidents.incident_rows(tx)[0]["deliveries"][0]["status"] == "due"
        with pytest.raises(incidents.UsageError, match="no delivery"):
            incidents.replay(tx, incident, "ann", "", 6)
        incidents.cancel(tx, incident, "ann", "false alarm", 7)
        assert incidents.incident_rows(tx)[0]["state"] == "cancelled"
        with pytest.raises(incidents.UsageError, match="none of this id"):
            incidents.approve(tx, "nothing", "ann", "", 8)
    assert len(table(store, "incident_events")) == (3 if mode == "approve" else 2)


def test_evidence_without_five_positives_is_a_wish_and_no_breach(store: Store):
    requests = month(100, every=0.05)
    judge(store, requests, labels_per_day=10)
    chosen_ids = {o["request_id"] for o in table(store, "outcomes") if o["reviewed"]}
    reviewed = [r for r in requests if r.request_id in chosen_ids]
    assert len(reviewed) >= 5
    label(store, reviewed[:4], True)
    decision = decide_all(store)[0]
    assert decision.log_e > math.log(1000)
    assert (decision.breach, decision.incident) == (False, None)
    assert decision.escalation is not None
    label(store, reviewed[4:], True)
    assert decide_all(store)[0].breach


@pytest.mark.parametrize(
    ("cause", "end"),
    [
        ({"part": "model_version", "value": "m-1"}, "; traced to model_version m-1"),
        ({"part": None, "value": None}, ": cannot tell which"),
        (None, ": cannot tell which"),
    ],
)
def test_the_line_of_the_release_says_what_its_cause_says(cause: dict | None, end: str):
    good = Deployment(model_version="m-0", prompt_version="p-0", retrieval_index="i-0")
    row = {"deployment": msgspec.structs.asdict(NEW), "last_good": msgspec.structs.asdict(good)}
    assert words.release(row, cause).endswith(f"changed together since the last good one{end}")
