"""Texts by people, judges and drivers, which may hold what PostgreSQL cannot: NUL."""

import msgspec

from tests.alerts.world import breach
from tests.service.world import NOW, ingest, request, table, verdict
from tidegauge.domain import EvaluationState
from tidegauge.service import incidents, stops, tickets
from tidegauge.storage import streams
from tidegauge.storage.store import Store
from tidegauge.storage.verdicts import commit_verdicts

SAID, STORED = "no\0thing", "no\ufffdthing"


def test_what_is_said_of_an_unjudged_sample_may_hold_a_nul(store: Store) -> None:
    asked = [request(1), request(2)]
    states = (EvaluationState.PENDING, EvaluationState.UNSCORED)
    found = [
        msgspec.structs.replace(verdict(r, state=state), reason=SAID) for r, state in zip(asked, states, strict=True)
    ]
    with store.write() as tx:
        ingest(tx, asked)
        commit_verdicts(tx, found, NOW)
    assert {row["state"]: row["reason"] for row in table(store, "samples")} == dict.fromkeys(states, STORED)


def test_a_label_of_an_evaluator_of_ones_own_may_hold_a_nul(store: Store) -> None:
    asked = request(1)
    judged = verdict(asked)
    (score,) = judged.scores
    with store.write() as tx:
        ingest(tx, [asked])
        commit_verdicts(
            tx, [msgspec.structs.replace(judged, scores=(msgspec.structs.replace(score, label=SAID),))], NOW
        )
    assert [row["label"] for row in table(store, "verdicts")] == [STORED]


def test_what_people_say_of_a_rollback_or_a_stop_may_hold_a_nul(store: Store) -> None:
    incident = breach(store, mode="approve")
    with store.write() as tx:
        incidents.approve(tx, incident, "ann\0", SAID, NOW)
        stops.stop(tx, "refunds", "ann", SAID, None, NOW)
        tickets.open_ticket(tx, kind="k", subject={"a": SAID}, owner="ann\0", evidence={"why": SAID}, now=NOW)
    assert STORED in [row["why"] for row in table(store, "incident_events")]
    assert [row["why"] for row in table(store, "stops")] == [STORED]


def test_what_an_engine_says_may_hold_a_nul(store: Store) -> None:
    with store.write() as tx:
        streams.submit(tx, "job", "prism", NOW)
        streams.fail(tx, "job", SAID)
    assert STORED in str(table(store, "streams"))


def test_a_name_with_a_nul_is_looked_up_and_not_found(store: Store) -> None:
    with store.read() as tx:
        assert tx.value("intent_of_key", test_key="a\0") is None
        assert tx.rows_in("sample_payloads", "ids", ["a\0"]) == []
