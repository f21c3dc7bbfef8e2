"""The way of a rollback on a real store and a real receiver: turns, waits, second looks, and whether it helped."""

import json

import pytest

from tests.alerts.world import KEY, SENT, at, before, breach, clock, history, open_tickets, run, stages, traffic
from tests.service.world import NEW, OLD, decide_all, judge, label, request, table
from tidegauge.alerts.act import act
from tidegauge.alerts.webhook import SECRET
from tidegauge.config import Config, RollbackSection, WebhookSection
from tidegauge.domain import HOUR, Deployment
from tidegauge.errors import UsageError
from tidegauge.service import incidents, words
from tidegauge.storage.store import Store
from tidegauge.testing.receiver import WebhookReceiver

OLDEST = Deployment(model_version="m-00", prompt_version="p-1", retrieval_index="i-1")


def test_a_rollback_that_helps_ends_by_itself(store: Store, receiver: WebhookReceiver) -> None:
    before(store)
    incident = breach(store)
    now = clock(13)
    run(store, receiver, now)
    assert stages(store, incident) == SENT
    traffic(store, 13.2, OLD, n=80)
    now.time = at(13.3)
    run(store, receiver, now)
    assert stages(store, incident) == [*SENT, "verified"]
    with store.read() as tx:
        assert incidents.incident_rows(tx)[0]["state"] == "resolved"
    assert history(store, incident)[-1] == "restored_rate"
    run(store, receiver, now)
    assert history(store, incident).count("restored_rate") == len(receiver.deliveries) == 1


def test_a_deployment_that_returns_after_a_verified_rollback_is_tested_anew(
    store: Store, receiver: WebhookReceiver
) -> None:
    before(store)
    first, now = breach(store), clock(13)
    run(store, receiver, now)
    traffic(store, 13.2, OLD, n=80)
    now.time = at(13.3)
    run(store, receiver, now)
    assert stages(store, first)[-1] == "verified"
    second = breach(store, hours=15)
    assert second not in (None, first)
    episodes = [row["episode"] for row in table(store, "test_keys") if row["deployment"] == NEW.id]
    assert sorted(episodes) == [0, 1]


def test_a_cancelled_breach_does_not_repeat_and_the_traffic_after_it_is_tested_anew(
    store: Store, receiver: WebhookReceiver
) -> None:
    first = breach(store, mode="approve")
    with store.write() as tx:
        incidents.cancel(tx, str(first), "ann", "the reviewers had misread the rule", at(13))
    late = [request(9000 + n, 11 + n / 100) for n in range(30)]  # of the time that was called no breach
    judge(store, late)
    label(store, late, True)
    good = [request(8000 + n, 14 + n / 100) for n in range(30)]
    judge(store, good)
    label(store, good, False)
    assert all(decision.incident is None for decision in decide_all(store))
    second = breach(store, hours=15)
    assert second not in (None, first)
    assert sorted(row["episode"] for row in table(store, "test_keys")) == [0, 1]
    with store.read() as tx:
        (found,) = (json.loads(row["evidence"]) for row in tx.rows("incidents") if row["incident"] == second)
    assert (found["judged"], found["positives"]) == (60, 30)


def test_a_rollback_that_does_not_help_fails_and_somebody_is_told(store: Store, receiver: WebhookReceiver) -> None:
    incident = breach(store)
    now = clock(13)
    run(store, receiver, now)
    traffic(store, 13.5)
    now.time = at(13.6)
    run(store, receiver, now)
    assert stages(store, incident) == SENT  # it has an hour
    traffic(store, 14.1)
    now.time = at(14.2)
    run(store, receiver, now)
    assert stages(store, incident) == [*SENT, "failed"]
    assert "rollback_failed" in open_tickets(store)
    traffic(store, 15, OLD)  # somebody did it by hand
    now.time = at(15.2)
    run(store, receiver, now)
    assert stages(store, incident)[-1] == "verified"
    assert "rollback_failed" not in open_tickets(store)


def test_one_at_a_time_and_the_next_when_the_first_is_over(store: Store, receiver: WebhookReceiver) -> None:
    first, second = breach(store), breach(store, intent="shipping")
    now = clock(13)
    run(store, receiver, now)
    assert sorted([stages(store, first)[-1], stages(store, second)[-1]]) == ["acknowledged", "approved"]
    sent, waits, intent = (
        (first, second, "refunds") if stages(store, first)[-1] == "acknowledged" else (second, first, "shipping")
    )
    traffic(store, 13.2, OLD, intent)
    now.time = at(13.3)
    run(store, receiver, now)
    assert stages(store, sent)[-1] == "verified"
    assert stages(store, waits)[-1] == "acknowledged"


def test_what_lost_its_traffic_meanwhile_is_not_rolled_back(store: Store, receiver: WebhookReceiver) -> None:
    incident = breach(store, mode="approve")
    traffic(store, 14, OLD, n=60)
    with store.write() as tx:
        incidents.approve(tx, incident, "ann", "seen", at(15))
    run(store, receiver, clock(15), mode="approve")
    assert stages(store, incident) == ["proposed", "approved", "cancelled"]
    assert receiver.deliveries == []
    with store.read() as tx:
        assert incidents.incident_rows(tx)[0]["state"] == "resolved"  # a breach it was


@pytest.mark.parametrize("mode", ["dry_run", "approve"])
def test_what_a_person_rolled_back_by_hand_is_resolved_and_stays_a_breach(
    store: Store, receiver: WebhookReceiver, mode: str
) -> None:
    before(store)
    incident = breach(store, mode=mode)
    with store.write() as tx:
        incidents.resolve(tx, str(incident), "ann", "rolled back by hand", at(14))
    run(store, receiver, clock(14), mode=mode)
    assert stages(store, incident) == ["proposed", "verified"]
    assert receiver.deliveries == []
    with store.read() as tx:
        assert incidents.incident_rows(tx)[0]["state"] == "resolved"
        assert [row["deployment"] for row in tx.rows("breached_deployments", intent="refunds")] == [NEW.id]
        (cell,) = tx.rows("span_of_traffic", intent="refunds", deployment=NEW.id)
        row = tx.first("incident", incident=incident)
        assert row is not None
        assert row["measured_from"] == cell["last_at"]  # what comes after it is tested anew


@pytest.mark.parametrize("action", ["resolve", "cancel"])
def test_nobody_is_left_with_the_ticket_of_a_rollback_that_is_over(
    store: Store, receiver: WebhookReceiver, action: str
) -> None:
    incident, now = str(breach(store, mode="approve")), clock(14)
    now.time = at(16)
    run(store, receiver, now, mode="approve", approval_hours=2)
    assert "rollback_failed" in open_tickets(store)
    with store.write() as tx:
        getattr(incidents, action)(tx, incident, "ann", "seen", now.now())
    assert "rollback_failed" not in open_tickets(store)


def test_what_is_cancelled_is_not_sent_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, KEY)
    incident = str(breach(store))
    with WebhookReceiver(KEY, replies=[410]) as receiver:
        run(store, receiver, clock(13))
        assert stages(store, incident)[-1] == "failed"
        with store.write() as tx:
            incidents.cancel(tx, incident, "ann", "no breach", at(14))
        with pytest.raises(UsageError, match="it is cancelled"), store.write() as tx:
            incidents.replay(tx, incident, "ann", "again", at(14))
        run(store, receiver, clock(15))
        assert len(receiver.deliveries) == 1


def test_a_replay_says_nothing_else_than_before(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, KEY)
    before(store, hours=0.5, deployment=OLDEST)
    before(store, hours=4)
    incident = str(breach(store))
    with WebhookReceiver(KEY, replies=[410]) as receiver:
        run(store, receiver, clock(13))
        breach(store, hours=14, deployment=OLD)  # the last good one is good no more
        with store.write() as tx:
            incidents.replay(tx, incident, "ann", "again", at(18))
        run(store, receiver, clock(18), most_per_day=9, cool_down_hours=0)
        said = [d.body for d in receiver.deliveries if d.webhook_id == receiver.deliveries[0].webhook_id]
    assert len(set(said)) == 1
    assert stages(store, incident)[-1] == "failed"


def test_a_cool_down_keeps_an_intent_from_flapping(store: Store, receiver: WebhookReceiver) -> None:
    breach(store)
    now = clock(13)
    run(store, receiver, now)
    traffic(store, 13.2, OLD)
    second = breach(store, 14, OLDEST)
    now.time = at(17)
    run(store, receiver, now)
    assert stages(store, second) == ["proposed", "approved"]
    now.time = at(19.1)
    run(store, receiver, now)
    assert stages(store, second) == SENT


def test_only_so_many_a_day(store: Store, receiver: WebhookReceiver) -> None:
    breach(store)
    now = clock(13)
    run(store, receiver, now, most_per_day=1, verify_minutes=0)
    traffic(store, 13.2, OLD)
    second = breach(store, 14, intent="shipping")
    now.time = at(18)
    run(store, receiver, now, most_per_day=1)
    assert stages(store, second)[-1] == "approved"
    now.time = at(37.1)
    run(store, receiver, now, most_per_day=1, approval_hours=100)
    assert stages(store, second)[-1] == "acknowledged"


def test_the_wait_for_its_turn_makes_no_dead_letter(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, KEY)
    first, second, now = breach(store), breach(store, intent="shipping"), clock(13)
    with WebhookReceiver(KEY, replies=[204, 500, 500]) as receiver:
        for hours, delivered in ((13, 1), (14, 1), (37.01, 2), (37.5, 3), (38.7, 4)):
            now.time = at(hours)
            run(store, receiver, now, most_per_day=1, approval_hours=48)
            assert len(receiver.deliveries) == delivered
            if hours == 13:
                with store.write() as tx:
                    incidents.resolve(tx, str(first), "ann", "seen", at(hours))
    assert stages(store, str(second)) == SENT


def test_an_approval_that_does_not_come_expires_and_may_still_be_given(store: Store, receiver: WebhookReceiver) -> None:
    incident = breach(store, mode="approve")
    now = clock(14)
    run(store, receiver, now, mode="approve", approval_hours=2)
    assert stages(store, incident) == ["proposed"]
    now.time = at(15.1)
    run(store, receiver, now, mode="approve", approval_hours=2)
    assert stages(store, incident) == ["proposed", "failed"]
    assert "rollback_failed" in open_tickets(store)
    with store.write() as tx:
        incidents.approve(tx, incident, "ann", "late", now.now())
    run(store, receiver, now, mode="approve", approval_hours=2)
    assert stages(store, incident) == ["proposed", "failed", "approved", "sent", "acknowledged"]


def test_a_second_breach_of_a_deployment_joins_the_open_incident(store: Store, receiver: WebhookReceiver) -> None:
    incident = breach(store)
    run(store, receiver, clock(13))
    assert breach(store, 60) is None
    run(store, receiver, clock(63))
    assert len(table(store, "incidents")) == len(table(store, "outbox")) == len(receiver.deliveries) == 1
    assert history(store, incident).count("joined") == 1
    with store.write() as tx:
        incidents.cancel(tx, incident, "ann", "false alarm", at(63))
    assert breach(store, 100) is not None


def test_nobody_is_sent_back_to_a_deployment_that_is_breached_itself(store: Store, receiver: WebhookReceiver) -> None:
    before(store, 1, OLDEST)
    before(store, 4, OLD)
    incident = breach(store, mode="approve")
    label(store, [r for r in _requests(store) if r.deployment == OLD], True)
    breach(store, 13.5, OLD, mode="dry_run")
    with store.write() as tx:
        incidents.approve(tx, incident, "ann", "", at(14))
    traffic(store, 16.6)
    run(store, receiver, clock(17), mode="approve")
    body = json.loads(receiver.deliveries[0].body)
    assert body["data"]["last_good_deployment"]["model_version"] == "m-00"
    assert history(store, incident)[-3:] == ["last_good", "sent", "acknowledged"]


def test_between_two_attempts_the_last_good_one_breaks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, KEY)
    before(store, 4, OLD)
    incident = breach(store)
    with WebhookReceiver(KEY, replies=[500]) as receiver:
        now = clock(13)
        run(store, receiver, now)
        label(store, [r for r in _requests(store) if r.deployment == OLD], True)
        now.time = at(13.5)
        run(store, receiver, now, intents={"refunds": "dry_run"})
        assert len(receiver.deliveries) == 1
    assert stages(store, incident) == ["proposed", "approved", "sent", "failed"]


def test_an_intent_may_have_a_mode_of_its_own(store: Store, receiver: WebhookReceiver) -> None:
    url = receiver.hook
    terms = RollbackSection(intents={"refunds": "auto"}, webhook=WebhookSection(url=url))
    requests = _unlabelled(store)
    label(store, requests, True)
    act(store, Config(rollback=terms), clock(13))
    states = {row["intent"]: row["stage"] for row in table(store, "incidents")}
    assert states == {"refunds": "acknowledged", "shipping": "proposed"}
    assert {d["state"] for d in table(store, "outbox")} == {"delivered", "dry_run"}


def _unlabelled(store: Store) -> list:
    from tests.service.world import judge, request

    intents = ("refunds", "shipping")
    found = [request(i * 100 + n, 10 + n / 10, NEW, name) for i, name in enumerate(intents) for n in range(30)]
    judge(store, found)
    return found


def _requests(store: Store) -> list:
    import msgspec

    from tidegauge.domain import Request

    return [msgspec.json.decode(row["payload"], type=Request) for row in table(store, "samples")]


def test_without_a_secret_a_breach_is_decided_and_said_and_sent_once_there_is_one(
    store: Store, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET)
    before(store)
    incident, now = breach(store), clock(13)
    for _ in range(2):
        run(store, receiver, now)
    assert stages(store, incident) == ["proposed"]
    assert history(store, incident).count("undelivered") == 1
    assert "rollback_unsigned" in open_tickets(store)
    with store.read() as tx:
        [row] = incidents.incident_rows(tx)
    assert SECRET in words.done(row)
    assert not receiver.deliveries
    monkeypatch.setenv(SECRET, KEY)
    run(store, receiver, now)
    assert stages(store, incident) == SENT
    assert "rollback_unsigned" not in open_tickets(store)


def test_what_could_not_be_signed_for_too_long_fails_and_says_why(store: Store, receiver: WebhookReceiver) -> None:
    before(store)
    incident, now = breach(store), clock(13)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(SECRET)
        run(store, receiver, now)
        now.time += 25 * HOUR
        run(store, receiver, now)
    assert stages(store, incident) == ["proposed", "failed"]
    with store.read() as tx:
        [why] = [e["why"] for e in tx.rows("incident_history", incident=incident) if e["to_stage"] == "failed"]
    assert SECRET in why
