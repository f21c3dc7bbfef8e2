"""Faults on the way to the example receiver, a process of its own: at least once, one effect, in order."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.alerts.test_delivery import put
from tests.alerts.world import KEY, breach, clock, config, stages
from tests.jobs.test_replay import in_child
from tidegauge.alerts import webhook
from tidegauge.alerts.delivery import deliver
from tidegauge.domain import HOUR, SECOND
from tidegauge.service import incidents
from tidegauge.storage.store import Store
from tidegauge.testing.loopback import Call, LoopbackServer
from tidegauge.testing.receiver import Reply, WebhookReceiver

EXAMPLE = Path(__file__).parents[2] / "examples" / "receiver.py"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET", KEY)


class Example:
    """The example on a port that is known before it runs."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._file = folder / "rollbacks.db"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, str(EXAMPLE), str(self.port), str(self._file)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("the example receiver does not start")

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def effects(self) -> list[str]:
        connection = sqlite3.connect(self._file)
        found = [row[0] for row in connection.execute("SELECT id FROM rollbacks ORDER BY rowid")]
        connection.close()
        return found


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    running = Example(tmp_path)
    yield running
    running.stop()


class Front(LoopbackServer):
    """Passes requests on to the example; the first ones it spoils, after the example has acted."""

    def __init__(self, behind: str, spoils: list[Callable[[Call], None]]) -> None:
        self.behind, self.spoils, self.seen = behind, spoils, 0
        super().__init__()

    def respond(self, call: Call) -> None:
        names = {n: v for n, v in call.headers.items() if n.startswith("webhook-") or n == "content-type"}
        answer = httpx.post(self.behind, content=call.body, headers=names, trust_env=False)
        with self.lock:
            self.seen += 1
            spoil = self.spoils.pop(0) if self.spoils else None
        if spoil:
            spoil(call)
        else:
            call.send(answer.status_code)


def drip(call: Call) -> None:
    """An answer that comes so slowly that no single wait is long."""
    for byte in b"HTTP/1.1 200 OK\r\n" * 20:
        try:
            call._handler.wfile.write(bytes([byte]))
        except OSError:
            return
        time.sleep(0.05)


def test_down_for_an_hour(store: Store, example: Example) -> None:
    incident = breach(store)
    now = clock(13)
    while now.time < clock(14).time:
        deliver(store, config(example.url), now, lambda: 1.0)
        now.time += 10 * 60 * SECOND
    assert stages(store, incident)[-1] == "sent"
    example.start()
    now.time += HOUR
    deliver(store, config(example.url), now)
    assert stages(store, incident)[-1] == "acknowledged"
    assert example.effects() == [incidents.delivery_id(incident)]


def test_one_effect_though_the_answers_are_lost(
    store: Store, example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 1.0)
    example.start()
    incident = breach(store)
    now = clock(13)

    def late(call: Call) -> None:
        time.sleep(1.5)

    spoils = [lambda call: call.send(500), lambda call: call.reset(), late, drip]
    with Front(example.url, spoils) as front:
        for _ in range(5):
            began = time.monotonic()
            deliver(store, config(front.url), now, lambda: 1.0)
            assert time.monotonic() - began < 5
            now.time += HOUR
        assert front.seen == 5
    assert stages(store, incident)[-1] == "acknowledged"
    assert example.effects() == [incidents.delivery_id(incident)]
    with store.write() as tx:
        incidents.replay(tx, incident, "ann", "once more", now.now())
    deliver(store, config(example.url), now)
    assert example.effects() == [incidents.delivery_id(incident)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_killed_between_commit_and_send(store_url: str, store: Store, example: Example) -> None:
    example.start()
    incident = breach(store)

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def doomed() -> None:
        webhook.Sender.send = die  # type: ignore[assignment,method-assign]
        deliver(Store(store_url), config(example.url), clock(13))

    store.close()  # no connection is shared with a child
    assert in_child(doomed) == -signal.SIGKILL
    assert stages(store, incident)[-1] == "sent"
    assert example.effects() == []
    now = clock(13)
    now.time += 61 * SECOND
    deliver(store, config(example.url), now)
    assert example.effects() == [incidents.delivery_id(incident)]


def test_gone_disables_the_target_until_a_person_replays(store: Store, example: Example) -> None:
    example.start()
    incident = breach(store)
    now = clock(13)
    with WebhookReceiver(KEY, replies=[410, 204]) as receiver:
        deliver(store, config(receiver.hook), now)
        assert stages(store, incident)[-1] == "failed"
        put(store, now.now(), 7)
        deliver(store, config(receiver.hook), now)
        assert len(receiver.deliveries) == 1  # nobody knocks at a door that said it is gone
        with store.write() as tx:
            incidents.replay(tx, incident, "ann", "it is back", now.now())
        deliver(store, config(receiver.hook), now)
        assert receiver.deliveries[0].webhook_id == receiver.deliveries[1].webhook_id
    assert stages(store, incident)[-1] == "acknowledged"


def test_redirects_and_broken_tls_are_failures_and_the_secret_is_in_no_message(store: Store) -> None:
    incident = breach(store)
    now = clock(13)
    with WebhookReceiver(KEY) as aim, WebhookReceiver(KEY, replies=[Reply(307, location=aim.hook)]) as receiver:
        deliver(store, config(receiver.hook), now)
        now.time += HOUR
        deliver(store, config(receiver.hook.replace("http:", "https:")), now)
        assert (len(aim.deliveries), len(receiver.deliveries)) == (0, 1)
    with store.read() as tx:
        said = [row["why"] for row in tx.rows("incident_history", incident=incident) if row["what"] == "attempt failed"]
    assert said == ["307", "ConnectError"]


def test_a_dead_letter_after_its_age_and_a_replay_with_the_same_id(store: Store, example: Example) -> None:
    incident = breach(store)
    now = clock(13)
    with WebhookReceiver(KEY, replies=[500] * 99) as receiver:
        while stages(store, incident)[-1] != "failed":
            deliver(store, config(receiver.hook, dead_letter_hours=5), now, lambda: 1.0)
            now.time += HOUR
        assert 5 <= len(receiver.deliveries) <= 7
    example.start()
    with store.write() as tx:
        assert incidents.incident_rows(tx)[0]["deliveries"][0]["status"] == "failed"
        incidents.replay(tx, incident, "ann", "repaired", now.now())
    deliver(store, config(example.url), now)
    assert example.effects() == [incidents.delivery_id(incident)]


def test_order_is_kept_within_an_intent_and_others_go_on(store: Store) -> None:
    now = clock(13)
    for number, intent in ((1, "a"), (2, "a"), (3, "b")):
        put(store, now.now() + number, number, intent)
    now.time += SECOND
    with WebhookReceiver(KEY, replies=[500]) as receiver:
        for _ in range(3):
            deliver(store, config(receiver.hook), now, lambda: 1.0)
            now.time += HOUR
        assert [d.webhook_id for d in receiver.deliveries] == ["msg_1", "msg_3", "msg_1", "msg_2"]


def test_the_example_refuses_what_is_not_signed(example: Example) -> None:
    example.start()
    for headers in (
        {},
        {"webhook-id": "a", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AA=="},
    ):
        assert httpx.post(example.url, content=b"{}", headers=headers, trust_env=False).status_code == 401
    assert example.effects() == []
