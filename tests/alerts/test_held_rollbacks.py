"""What holds a rollback back: a stop, and a log that stands still."""

import pytest

from tests.alerts.world import KEY, SENT, at, breach, clock, history, open_tickets, run, stages, traffic
from tests.service.world import OLD
from tidegauge.alerts.webhook import SECRET
from tidegauge.domain import HOUR
from tidegauge.service import incidents, stops
from tidegauge.service.rollbacks import UNDELIVERED
from tidegauge.storage.store import Store
from tidegauge.testing.receiver import WebhookReceiver


def test_a_stopped_intent_sends_nothing_until_the_stop_is_lifted(store: Store, receiver: WebhookReceiver) -> None:
    incident, now = breach(store), clock(13)
    with store.write() as tx:
        stops.stop(tx, "refunds", "ann", "the log lacks a region", None, now.now())
    run(store, receiver, now)
    now.time = at(13 + 2)
    run(store, receiver, now)
    assert stages(store, incident) == ["proposed", "approved"]
    assert receiver.deliveries == []
    with store.write() as tx:
        stops.lift(tx, "refunds", "ann", now.now())
    run(store, receiver, now)
    assert stages(store, incident) == SENT
    assert len(receiver.deliveries) == 1


@pytest.mark.parametrize("ends", ["lifted", "by itself"])
@pytest.mark.parametrize("intent", ["refunds", "*"])
def test_what_a_stop_held_for_long_has_its_chance_when_the_stop_ends(
    store: Store, receiver: WebhookReceiver, intent: str, ends: str
) -> None:
    incident, now = breach(store), clock(13)
    with store.write() as tx:
        stops.stop(tx, intent, "ann", "the log lacks a region", None if ends == "lifted" else at(60), now.now())
    for hours in (13, 30, 59.9):
        now.time = at(hours)
        run(store, receiver, now)
    traffic(store, 59.9)
    now.time = at(60)
    if ends == "lifted":
        with store.write() as tx:
            stops.lift(tx, intent, "ann", now.now())
    run(store, receiver, now)
    assert stages(store, incident) == SENT


def test_what_a_stop_held_until_its_traffic_was_gone_is_closed(store: Store, receiver: WebhookReceiver) -> None:
    incident, now = breach(store), clock(13)
    with store.write() as tx:
        stops.stop(tx, "refunds", "ann", "the log lacks a region", at(60), now.now())
    run(store, receiver, now)
    traffic(store, 59, OLD)
    now.time = at(61)
    run(store, receiver, now)
    assert stages(store, incident) == ["proposed", "approved", "cancelled"]
    assert receiver.deliveries == []


def test_after_a_stop_the_wait_for_an_approval_begins_anew(store: Store, receiver: WebhookReceiver) -> None:
    incident, now = breach(store, mode="approve"), clock(13)
    with store.write() as tx:
        stops.stop(tx, "refunds", "ann", "the log lacks a region", at(60), now.now())
    for hours, stage in ((13, "proposed"), (61, "proposed"), (83.9, "proposed"), (84.1, "failed")):
        now.time = at(hours)
        run(store, receiver, now, mode="approve")
        assert stages(store, incident)[-1] == stage


def test_what_a_person_approved_before_a_long_stop_is_asked_again(store: Store, receiver: WebhookReceiver) -> None:
    incident, now = breach(store, mode="approve"), clock(13)
    with store.write() as tx:
        stops.stop(tx, "refunds", "ann", "the log lacks a region", at(60), now.now())
        incidents.approve(tx, str(incident), "ann", "seen", now.now())
    now.time = at(61)
    run(store, receiver, now, mode="approve")
    assert stages(store, incident) == ["proposed", "approved", "failed"]
    assert receiver.deliveries == []


def test_what_was_sent_is_not_late_by_a_stop(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, KEY)
    incident, now = str(breach(store)), clock(13)
    with WebhookReceiver(KEY, replies=[503, 503]) as receiver:
        run(store, receiver, now)
        with store.write() as tx:
            stops.stop(tx, "refunds", "ann", "the log lacks a region", at(60), now.now())
        now.time = at(20)
        run(store, receiver, now)
        assert UNDELIVERED not in history(store, incident)
        for hours in (60.1, 62):
            now.time = at(hours)
            run(store, receiver, now)
    assert stages(store, incident) == SENT
    assert history(store, incident).count("attempt failed") == 2


def test_a_log_that_stands_still_holds_no_queue_up(store: Store, receiver: WebhookReceiver) -> None:
    first, second = breach(store), breach(store, intent="shipping")
    now = clock(13)
    run(store, receiver, now)
    sent, waits = (first, second) if stages(store, first)[-1] == "acknowledged" else (second, first)
    now.time = at(13.9)
    run(store, receiver, now)
    assert stages(store, sent) == SENT
    now.time = at(14.1)
    run(store, receiver, now)
    assert stages(store, sent) == [*SENT, "failed"]
    assert stages(store, waits) == SENT
    with store.read() as tx:
        assert "the log stands still" in tx.rows("incident_history", incident=sent)[-1]["why"]
    assert "rollback_failed" in open_tickets(store)
    for intent in ("refunds", "shipping"):
        traffic(store, 14.2, OLD, intent)
    now.time = at(14.3)
    run(store, receiver, now)
    assert stages(store, sent)[-1] == "verified"
    assert "rollback_failed" not in open_tickets(store)


def test_a_log_that_is_behind_the_clock_has_a_day(store: Store, receiver: WebhookReceiver) -> None:
    incident, now = breach(store), clock(20)
    for hours, stage in ((20, "acknowledged"), (43.9, "acknowledged"), (44.1, "failed")):
        now.time = at(hours)
        run(store, receiver, now)
        assert stages(store, incident)[-1] == stage


def test_a_log_that_goes_on_some_minutes_behind_the_clock_does_not_stand_still(
    store: Store, receiver: WebhookReceiver
) -> None:
    incident, now = breach(store), clock(13)
    run(store, receiver, now)
    traffic(store, 13.9, OLD, "shipping")
    now.time = at(14.05)
    run(store, receiver, now)
    assert stages(store, incident) == SENT
    traffic(store, 13.97, OLD, n=5)
    traffic(store, 14.05, OLD, "shipping")
    now.time = at(14.2)
    run(store, receiver, now)
    assert stages(store, incident) == [*SENT, "verified"]


def test_what_is_still_to_be_read_may_show_that_it_helped(store: Store, receiver: WebhookReceiver) -> None:
    incident, now = breach(store), clock(13)
    run(store, receiver, now)
    with store.write() as tx:
        names = {"source": "", "path": "", "encoding": "", "inode": "", "prefix_hash": "", "tail_hash": ""}
        sizes = dict.fromkeys(("prefix_length", "tail_length", "planned_to", "size_seen", "unchanged_since"), 0)
        tx.run("insert_generation", generation="g", created_at=0, **names, **sizes)
        tx.run("insert_block", generation="g", start=0, stop=1, planned_at=at(13))
    now.time = at(20)
    run(store, receiver, now)
    assert stages(store, incident) == SENT


@pytest.mark.parametrize("stopped", ["refunds", "*"])
def test_a_stop_holds_the_next_attempt_and_a_replay_too(
    store: Store, monkeypatch: pytest.MonkeyPatch, stopped: str
) -> None:
    monkeypatch.setenv(SECRET, KEY)
    incident, now = breach(store), clock(13)
    with WebhookReceiver(KEY, replies=[500]) as receiver:
        for attempts in (1, 2):
            run(store, receiver, now)
            assert len(receiver.deliveries) == attempts
            with store.write() as tx:
                if attempts == 2:
                    incidents.replay(tx, incident, "ann", "again", now.now())
                stops.stop(tx, stopped, "ann", "the log lacks a region", None, now.now())
            now.time += HOUR // 4
            run(store, receiver, now)
            assert len(receiver.deliveries) == attempts
            with store.write() as tx:
                stops.lift(tx, stopped, "ann", now.now())
        run(store, receiver, now)
        assert len(receiver.deliveries) == 3
