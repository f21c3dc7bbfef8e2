"""Deliveries over real HTTP: signed, at least once, never under a second id."""

from collections.abc import Iterator

import pytest

from tests.support.ingest import Now
from tidegauge.alerts.delivery import deliver, outcome
from tidegauge.alerts.webhook import Attempt, Sender
from tidegauge.config import Config, RollbackSection, WebhookSection
from tidegauge.domain import DAY, HOUR, SECOND, DeliveryState
from tidegauge.errors import ConfigError
from tidegauge.service.incidents import incident_rows
from tidegauge.service.tickets import ticket_rows
from tidegauge.storage import outbox
from tidegauge.storage.store import Store
from tidegauge.testing.receiver import Reply, WebhookReceiver

KEY = "whsec_" + "QUJD" * 8


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET", KEY)


def receiver_of(*replies: Reply | int) -> Iterator[WebhookReceiver]:
    with WebhookReceiver(KEY, replies=replies) as receiver:
        yield receiver


def put(store: Store, now: int, number: int = 1, intent: str | None = None) -> None:
    with store.write() as tx:
        tx.run(
            "insert_incident",
            incident=f"i-{number}",
            test_key=f"k-{number}",
            indicator="hallucination",
            intent=intent or f"intent-{number}",
            deployment="d-1",
            last_good=None,
            opened_at=now,
            state="open",
            evidence="{}",
        )
        tx.run(
            "insert_delivery",
            delivery=f"msg_{number}",
            incident=f"i-{number}",
            body=b'{"specversion":"1.0"}',
            state="due",
            due_at=now,
            created_at=now,
        )


def config_of(receiver: WebhookReceiver) -> Config:
    return Config(rollback=RollbackSection(mode="auto", webhook=WebhookSection(url=receiver.hook)))


def state_of(store: Store) -> tuple[str, int]:
    with store.read() as tx:
        row = tx.rows("incident_deliveries")[0]
    return row["state"], row["attempts"]


def test_failures_are_tried_again_later_with_the_same_id_and_bytes(store: Store) -> None:
    clock = Now()
    put(store, clock.now())
    for receiver in receiver_of(500, Reply(reset=True), Reply(302, location="/elsewhere"), 204):
        for attempt in range(1, 5):
            assert deliver(store, config_of(receiver), clock, lambda: 1.0) == 1
            assert deliver(store, config_of(receiver), clock, lambda: 1.0) == 0  # not due again yet
            assert state_of(store) == ("delivered" if attempt == 4 else "due", attempt)
            clock.time += HOUR
        assert {(d.webhook_id, d.body, d.verified) for d in receiver.deliveries} == {
            ("msg_1", b'{"specversion":"1.0"}', True)
        }
        assert deliver(store, config_of(receiver), clock) == 0


def test_gone_ends_it(store: Store) -> None:
    clock = Now()
    put(store, clock.now())
    for receiver in receiver_of(410):
        deliver(store, config_of(receiver), clock)
    assert state_of(store) == ("failed", 1)


def test_a_claim_of_a_dead_process_is_due_again(store: Store) -> None:
    clock = Now()
    put(store, clock.now())
    with store.write() as tx:
        tx.rows("claim_deliveries", owner="dead", now=clock.now(), until=clock.now() + 60 * SECOND, most=9)
    for receiver in receiver_of():
        assert deliver(store, config_of(receiver), clock) == 0
        clock.time += 61 * SECOND
        assert deliver(store, config_of(receiver), clock) == 1
    assert state_of(store) == ("delivered", 1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://xn--/", "http://[::1/"])
def test_a_url_that_nothing_can_connect_to_is_a_failed_attempt(store: Store, url: str) -> None:
    put(store, 0)
    config = Config(rollback=RollbackSection(mode="auto", webhook=WebhookSection(url=url)))
    assert deliver(store, config, Now(0)) == 1
    assert state_of(store) == ("due", 1)


def test_a_tampered_body_fails_the_check() -> None:
    for receiver in receiver_of():
        Sender(receiver.hook, KEY).send("msg_1", b"{}")
        seen = receiver.deliveries[0]
        assert seen.verified
        assert not receiver.verify(b"{ }", seen.headers)


def test_a_slow_receiver_does_not_let_the_claims_of_the_others_expire(store: Store) -> None:
    clock = Now()
    for number in range(1, 4):
        put(store, clock.now(), number)
    with WebhookReceiver(KEY, replies=[500, 500]) as receiver:
        config = config_of(receiver)
        failures: list[int] = []

        def half_a_minute_later() -> float:
            clock.time += 31 * SECOND
            failures.append(clock.time)
            if len(failures) == 2:  # 62 seconds after the first claim another process comes by
                deliver(store, config, clock)
            return 1.0

        deliver(store, config, clock, half_a_minute_later)
        assert [d.webhook_id for d in receiver.deliveries].count("msg_3") == 1


@pytest.mark.parametrize("asked", ["inf", "-inf", "nan", "1e300", "-5", "soon", ""])
def test_an_absurd_retry_after_does_no_harm(store: Store, asked: str) -> None:
    clock = Now()
    put(store, clock.now())
    for receiver in receiver_of(Reply(503, retry_after=asked)):
        assert deliver(store, config_of(receiver), clock) == 1
        clock.time += DAY
        assert deliver(store, config_of(receiver), clock) == 1
    assert state_of(store) == ("delivered", 2)


def test_a_retry_after_may_be_a_date() -> None:
    wall = 1_800_000_000.0
    dates = ("Fri, 15 Jan 2027 08:10:00 GMT", "Thu, 14 Jan 2027 08:10:00 GMT", "Fri, 99 Jan 2027 08:10:00 GMT")
    with WebhookReceiver(KEY, replies=[Reply(503, retry_after=date) for date in dates]) as receiver:
        sender = Sender(receiver.hook, KEY, lambda: wall)
        assert [sender.send("msg_1", b"{}").retry_after for _ in dates] == [600.0, 0.0, None]


def test_a_success_counts_though_the_claim_was_lost_and_a_failure_does_not(store: Store) -> None:
    clock = Now()
    put(store, clock.now())
    with store.write() as tx:
        (mine,) = outbox.claim(tx, "me", clock.now(), clock.now() + SECOND, 1)
        (_,) = outbox.claim(tx, "you", clock.now() + SECOND, clock.now() + HOUR, 1)
        at = {"said": "", "due_at": clock.now(), "now": clock.now()}
        outbox.record(tx, mine, "me", state=DeliveryState.FAILED, **at)
    assert state_of(store) == ("due", 0)
    with store.write() as tx:
        outbox.record(tx, mine, "me", state=DeliveryState.DELIVERED, **at)
    assert state_of(store) == ("delivered", 1)


@pytest.mark.parametrize("secret", [None, "whsec_short"])
def test_what_cannot_be_signed_stays_due_and_is_said(
    store: Store, secret: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, variable = Now(), "TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET"
    put(store, clock.now())
    for receiver in receiver_of():
        monkeypatch.delenv(variable) if secret is None else monkeypatch.setenv(variable, secret)
        for _ in range(2):
            assert deliver(store, config_of(receiver), clock) == 0
        assert not receiver.deliveries
        assert state_of(store) == ("due", 0)
        with store.read() as tx:
            [row] = incident_rows(tx)
            [ticket] = ticket_rows(tx)
        said = [row["deliveries"][0]["last_status"], ticket["evidence"]["why"], caplog.text]
        assert all(variable in text and "whsec_short" not in text for text in said)
        assert (ticket["kind"], ticket["state"], ticket["evidence"]["incidents"]) == (
            "rollback_unsigned",
            "open",
            ["i-1"],
        )
        monkeypatch.setenv(variable, KEY)
        assert deliver(store, config_of(receiver), clock) == 1
    assert state_of(store) == ("delivered", 1)
    with store.read() as tx:
        assert [ticket["state"] for ticket in ticket_rows(tx)] == ["closed"]


@pytest.mark.parametrize(
    "secret",
    [None, "", "whsec_!", "whsec_", "whsec_QUJD", KEY + "$%", KEY.removeprefix("whsec_"), "whsec_" + "QUJD" * 30],
)
def test_without_a_usable_secret_nothing_is_sent(secret: str | None) -> None:
    with pytest.raises(ConfigError, match="TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET"):
        Sender("http://127.0.0.1:9/", secret)


def test_waits_double_and_are_capped_and_obey_the_receiver() -> None:
    failed = Attempt(503, "503", None)
    waits = [outcome(failed, n, lambda: 1.0)[1] for n in range(1, 9)]
    assert waits == [60 * SECOND * 2**n for n in range(6)] + [HOUR, HOUR]
    assert outcome(Attempt(429, "429", 7200.0), 1, lambda: 0.0) == (DeliveryState.DUE, 2 * HOUR)
    assert outcome(failed, 3, lambda: 0.0, over=True)[0] is DeliveryState.FAILED
