"""Owners hear of it over real HTTP by apprise: once, grouped, at a rate, at their hours, whoever is killed."""

import json
import logging
import os
import signal
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.alerts.world import KEY, at, breach, clock, config, traffic
from tests.jobs.test_replay import in_child
from tests.service.world import OLD, START, table
from tidegauge.alerts import duty
from tidegauge.alerts.act import act
from tidegauge.alerts.delivery import deliver
from tidegauge.alerts.notices import notify
from tidegauge.config import Config, IntentSection, OwnerSection, ShiftSection
from tidegauge.domain import DAY, HOUR, SECOND
from tidegauge.service import incidents, tickets
from tidegauge.service.words import odds, plain
from tidegauge.storage.store import Store
from tidegauge.testing.loopback import Call, LoopbackServer
from tidegauge.testing.receiver import WebhookReceiver


class Chat(LoopbackServer):
    """Takes apprise's json:// messages; `down`: how many of the first ones it answers with 500."""

    def __init__(self, down: int = 0) -> None:
        self.messages: list[dict[str, str]] = []
        self.down = down
        super().__init__()

    @property
    def contact(self) -> str:
        return self.url.replace("http:", "json:") + "/s3cret"

    def respond(self, call: Call) -> None:
        with self.lock:
            self.down -= 1
            if self.down >= 0:
                call.send(500)
                return
            self.messages.append(json.loads(call.body))
        call.send(200)

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    monkeypatch.setenv("TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET", KEY)
    with Chat() as server:
        monkeypatch.setenv("CONTACTS", server.contact)
        yield server


def owned(hook: str = "http://127.0.0.1:9/", owner: OwnerSection | None = None, **terms) -> Config:
    owners = {"payments": owner or OwnerSection(contacts_env="CONTACTS")}
    intents = {"*": IntentSection(owner="payments")}
    return msgspec.structs.replace(config(hook, **terms), owners=owners, intents=intents)


def ticket(store: Store, number: int, now: int, owner: str = "payments") -> str:
    with store.write() as tx:
        return tickets.open_ticket(
            tx, kind="coverage_low", subject={"intent": f"i-{number}"}, owner=owner, evidence={"judged": 5}, now=now
        )


def test_a_page_says_what_how_sure_which_release_and_what_was_done(store: Store, chat: Chat) -> None:
    traffic(store, 1, OLD, n=100)
    incident = breach(store)
    now = clock(13)
    with WebhookReceiver(KEY) as receiver:
        act(store, owned(receiver.hook, link="https://gauge.example/i/{incident}"), now)
    (message,) = chat.messages
    assert (message["title"], message["type"]) == ("breach: refunds", "failure")
    words = dict(row.split(": ", 1) for row in message["message"].splitlines())
    assert "the objective is 3.0 %" in words["What"]
    assert "to 1 against" in words["Sure"]
    assert "30 of 30" in words["Sure"]
    assert words["Release"] == "model_version m-1 (was m-0) since the last good one"
    assert "the receiver said yes" in words["Done"]
    assert words["Check"] == f"tidegauge explain {incident}"
    assert words["Link"] == f"https://gauge.example/i/{incident}"
    traffic(store, 13.2, OLD, n=150)
    now.time = at(13.4)
    act(store, owned(), now)
    act(store, owned(), now)
    assert chat.titles[1:] == ["resolved: refunds"]
    assert chat.messages[1]["type"] == "success"


def test_what_waits_is_one_message_and_nothing_is_told_twice(store: Store, chat: Chat) -> None:
    now = clock(13)
    for number in range(14):
        ticket(store, number, now.now())
    assert notify(store, owned(), now) == 1
    (message,) = chat.messages
    assert message["title"].endswith("(and 13 more)")
    assert (message["message"].count("What: "), message["message"].count("coverage low (")) == (10, 14)
    assert notify(store, owned(), now) == 0
    ticket(store, 3, now.now() + SECOND)  # the same finding again
    now.time += HOUR
    assert notify(store, owned(), now) == 0


def test_a_storm_is_held_to_a_rate_and_nothing_of_it_is_lost(store: Store, chat: Chat) -> None:
    now = clock(13)
    for number in range(60):
        ticket(store, number, now.now())
        notify(store, owned(), now)
        now.time += 60 * SECOND
    assert len(chat.messages) == 2
    now.time += HOUR
    notify(store, owned(), now)
    assert {row["state"] for row in table(store, "notices")} == {"sent"}
    told = " ".join(m["title"] + m["message"] for m in chat.messages)
    assert all(f"i-{number})" in told for number in range(60))


def test_quiet_hours_hold_tickets_and_no_pages(store: Store, chat: Chat) -> None:
    owner = OwnerSection(contacts_env="CONTACTS", quiet_hours="22:00-07:00", timezone="Europe/Berlin")
    now = clock(24)  # one o'clock in Berlin
    over, stays = ticket(store, 1, now.now()), ticket(store, 2, now.now())
    breach(store, 20.5)
    notify(store, owned(owner=owner), now)
    assert chat.titles == ["breach: refunds"]
    with store.write() as tx:
        tickets.close_ticket(tx, over, now.now() + HOUR)
    now.time = START + DAY + 6 * HOUR + 60 * SECOND
    notify(store, owned(owner=owner), now)
    assert [title for title in chat.titles if "coverage" in title] == ["ticket: coverage low (intent i-2)"]
    assert stays


def test_a_contact_that_is_down_is_tried_again_and_the_others_are_left_in_peace(
    store: Store, chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = clock(13)
    breach(store)
    with Chat(down=2) as other, caplog.at_level(logging.DEBUG):
        monkeypatch.setenv("CONTACTS", f"{chat.contact} {other.contact}\nnonsense")
        for _ in range(5):
            notify(store, owned(dead_letter_hours=3), now)
            now.time += HOUR
        assert len(chat.messages) == len(other.messages) == 1
    assert [row["state"] for row in table(store, "notices")] == ["failed"]  # one was no contact at all
    kept = json.dumps([table(store, name) for name in ("notices", "notice_messages")])
    assert "s3cret" not in caplog.text + kept


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_killed_between_claim_and_send_nothing_is_lost(store_url: str, store: Store, chat: Chat) -> None:
    breach(store)

    def die(*_: object) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return False

    store.close()  # no connection is shared with a child
    assert in_child(lambda: notify(Store(store_url), owned(), clock(13), die)) == -signal.SIGKILL
    now = clock(13)
    assert notify(store, owned(), now) == 0  # the claim of the dead one still stands
    now.time += 6 * 60 * SECOND
    assert notify(store, owned(), now) == 1
    assert notify(store, owned(), now) == 0
    assert chat.titles == ["breach: refunds"]


def test_nobody_is_woken_by_what_is_over(store: Store, chat: Chat) -> None:
    incident = breach(store, mode="approve")
    with store.write() as tx:
        incidents.cancel(tx, incident, "ann", "a mislabelled batch", at(13))
    notify(store, owned(), clock(13))
    (message,) = chat.messages
    assert (message["title"], message["type"]) == ("resolved: refunds", "success")
    assert "no rollback: a mislabelled batch" in message["message"]


def test_a_failed_rollback_pages_though_nothing_can_be_sent(store: Store, chat: Chat) -> None:
    breach(store)
    now = clock(13)
    with WebhookReceiver(KEY, replies=[410]) as receiver:
        deliver(store, owned(receiver.hook), now)
    notify(store, owned(), now)
    assert chat.titles == ["rollback FAILED: refunds"]
    assert "410" in chat.messages[0]["message"]


def test_a_receiver_that_stays_down_pages_long_before_the_dead_letter(store: Store, chat: Chat) -> None:
    breach(store)
    now = clock(13)
    for _ in range(5):
        act(store, owned(), now)
        now.time += HOUR
    assert chat.titles == ["breach: refunds", "rollback NOT DELIVERED: refunds"]


def test_without_owners_or_with_unknown_ones(store: Store, chat: Chat) -> None:
    now = clock(13)
    ticket(store, 1, now.now(), owner="nobody")
    assert notify(store, config(), now) == 0
    assert notify(store, owned(), now) == 0
    assert table(store, "notices") == []
    with_platform = msgspec.structs.replace(owned(), owners={"platform": OwnerSection(contacts_env="CONTACTS")})
    assert notify(store, with_platform, now) == 1


def test_pages_go_to_who_is_on_duty() -> None:
    owner = OwnerSection(
        contacts_env="ALL",
        timezone="Europe/Berlin",
        on_call=(
            ShiftSection(contacts_env="DAY", days=("mon", "tue", "wed", "thu", "fri"), hours="09:00-17:00"),
            ShiftSection(contacts_env="NIGHT", days=("fri",), hours="22:00-06:00"),
        ),
    )
    monday = START - (START // DAY + 3) % 7 * DAY
    assert duty.on_duty(owner, monday + 9 * HOUR) == "DAY"  # 10 or 11 in Berlin
    assert duty.on_duty(owner, monday + 20 * HOUR) == "ALL"
    assert duty.on_duty(owner, monday + 4 * DAY + 22 * HOUR) == "NIGHT"
    assert duty.on_duty(owner, monday + 5 * DAY + 3 * HOUR) == "NIGHT"
    assert duty.on_duty(owner, monday + 5 * DAY + 12 * HOUR) == "ALL"


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_hours_and_the_rest_of_the_day_make_a_day(first: int, last: int, minute: int) -> None:
    def text(a: int, b: int) -> str:
        return f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}"

    now = START + minute * 60 * SECOND
    within = duty.quiet(OwnerSection(quiet_hours=text(first, last)), now)
    if first != last:
        assert within != duty.quiet(OwnerSection(quiet_hours=text(last, first)), now)
    else:
        assert within


@given(st.text(), st.floats(-20, 800))
def test_words_stay_on_their_line(text: str, log_e: float) -> None:
    assert len(plain(text)) <= 120
    assert plain(text).isprintable() or not any(c in plain(text) for c in "\n\r\t\x1b\u202e")
    assert odds(log_e).endswith(" to 1")


def test_a_missing_variable_is_said_once_for_pages_and_tickets(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("SALES_CONTACTS", raising=False)
    breach(store)
    ticket(store, 1, at(13))
    with caplog.at_level(logging.WARNING, logger="tidegauge"):
        assert notify(store, owned(owner=OwnerSection(contacts_env="SALES_CONTACTS")), clock(13)) == 0
    said = "notices: SALES_CONTACTS is not set in the environment; nobody is told"
    assert [record.getMessage() for record in caplog.records] == [said]
