"""Two processes at once, one killed anywhere, and a store that an earlier version left behind."""

import importlib.resources
import json
import random
import signal
import threading
from functools import partial

import pytest

from tests.alerts.test_delivery import put
from tests.alerts.test_notices import Chat, owned
from tests.alerts.world import KEY, breach, clock, stages
from tests.jobs.test_replay import in_child
from tests.service.world import table
from tests.support.kill import die_at
from tidegauge.alerts.act import act
from tidegauge.alerts.event import rollback_body
from tidegauge.config import RollbackSection
from tidegauge.domain import SECOND
from tidegauge.service import rollbacks
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store
from tidegauge.testing.receiver import WebhookReceiver


def test_of_two_processes_one_gets_the_turn(store: Store) -> None:
    for number in (1, 2, 3):
        put(store, number, number)
        with store.write() as tx:
            tx.run("set_stage", incident=f"i-{number}", stage="approved", now=number)
    start = threading.Barrier(3)

    def release() -> None:
        start.wait()
        with store.write() as tx:
            rollbacks.release(tx, RollbackSection(), rollback_body, 100)

    threads = [threading.Thread(target=release) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row["stage"] for row in table(store, "incidents")].count("sent") == 1


def act_and_die(url: str, hook: str, now: int, statement: int) -> None:
    die_at(statement)
    at = clock(0)
    at.time = now
    act(Store(url), owned(hook), at)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_killed_anywhere_the_owner_and_the_receiver_hear_of_it(
    store_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET", KEY)
    incident = breach(store)
    now, rng = clock(13), random.Random(3)
    with WebhookReceiver(KEY) as receiver, Chat() as chat:
        monkeypatch.setenv("CONTACTS", chat.contact)
        kills = 0
        store.close()  # no connection is shared with a child
        for _ in range(15):
            code = in_child(partial(act_and_die, store_url, receiver.hook, now.time, rng.randrange(5, 75)))
            kills += code == -signal.SIGKILL
            now.time += 200 * SECOND
        now.time += 600 * SECOND
        act(store, owned(receiver.hook), now)
        told, sent = list(chat.titles), [d.webhook_id for d in receiver.deliveries]
        act(store, owned(receiver.hook), now)
        assert (chat.titles, len(receiver.deliveries)) == (told, len(sent))
    assert kills >= 3
    assert set(told) == {"breach: refunds"}
    assert len(set(sent)) == 1
    assert stages(store, incident) == ["proposed", "approved", "sent", "acknowledged"]
    assert [row["state"] for row in table(store, "notices")] == ["sent"]


def test_incidents_of_an_earlier_version_find_their_stage(store_url: str) -> None:
    store = Store(store_url)
    folder = importlib.resources.files("sql").joinpath("migrations")
    states = ("due", "held", "dry_run", "delivered", "failed", "cancelled")
    with store.write() as tx:
        tx.run("create_schema_migrations")
        for version, name in enumerate(("0001_spine.sql", "0002_evaluators.sql"), 1):
            tx.script(folder.joinpath(name).read_text())
            tx.run("record_migration", version=version, name=name)
        for number, state in enumerate((*states, "historical")):
            of = "historical" if state == "historical" else "open"
            delivery = "due" if state == "historical" else state
            tx.script(
                f"INSERT INTO incidents VALUES ('i-{number}', 'k-{number}', 'hallucination', 'a', 'd', NULL, 7, '{of}',"
                f" '{json.dumps({'n': number})}');"
                "INSERT INTO outbox (delivery, incident, body, state, attempts, due_at, created_at, last_status)"
                f" VALUES ('m-{number}', 'i-{number}', '{{}}', '{delivery}', 0, 7, 7, '')"
            )
    migrate(store)
    found = {row["incident"]: row["stage"] for row in table(store, "incidents")}
    assert list(dict(sorted(found.items())).values()) == [
        *("approved", "proposed", "proposed", "acknowledged", "failed", "cancelled", "")
    ]
    assert len(table(store, "incident_keys")) == 7
    assert {row["due_since"] for row in table(store, "outbox")} == {7}
    store.close()
