"""kill -9 while deciding and delivering: one incident, one webhook-id, delivered at least once."""

import json
import random
import signal
from functools import partial
from pathlib import Path

import pytest

from pipelines import jobs
from tests.jobs.test_replay import in_child
from tests.support.ingest import Now
from tests.support.kill import die_at
from tidegauge.alerts.act import act
from tidegauge.config import Config, ReviewSection, RollbackSection, SamplingSection, StoreSection, WebhookSection
from tidegauge.demo.log import START, SupportAssistant
from tidegauge.domain import DAY, SECOND
from tidegauge.service import label, review
from tidegauge.service.incidents import incident_rows
from tidegauge.storage.store import Store
from tidegauge.testing.receiver import WebhookReceiver

SECRET = "whsec_" + "QUJD" * 8


def labelled_store(url: str, folder: Path) -> None:
    """A store in which one intent has enough labels for a breach, and nothing is decided yet."""
    assistant = SupportAssistant(seed=1, requests=16_000, days=8, regress="refunds.policy")
    clock = Now(int(START.timestamp()) * SECOND + 8 * DAY)
    for day in range(1, 9):
        assistant.write_day(folder, day)
    config = Config(
        store=StoreSection(url=url), sampling=SamplingSection(rate=0.2), review=ReviewSection(labels_per_day=40)
    )
    store = Store(url)
    jobs.run(config, store, clock, logs=[f"{folder}/*.jsonl"], progress=jobs.silent)
    with store.write() as tx:
        names = [case["request_id"] for case in review.export_cases(tx)]
        lines = [
            json.dumps({"request_id": n, "hallucinated": assistant.truth[n], "reviewer": "simulated"}) for n in names
        ]
        label.apply_labels(tx, review.parse_labels(lines).labels, 1, clock.now())
    store.close()


def act_and_die(url: str, hook: str, now: int, statement: int) -> None:
    die_at(statement)
    decide_and_deliver(url, hook, now)


def decide_and_deliver(url: str, hook: str, now: int) -> None:
    config = Config(
        store=StoreSection(url=url), rollback=RollbackSection(mode="auto", webhook=WebhookSection(url=hook))
    )
    store = Store(url)
    act(store, config, Now(now))
    store.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kills_while_deciding_and_delivering(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET", SECRET)
    folder = tmp_path / "logs"
    folder.mkdir()
    labelled_store(store_url, folder)
    now, rng = int(START.timestamp()) * SECOND + 8 * DAY, random.Random(6)
    with WebhookReceiver(SECRET) as receiver:
        codes = []
        for _ in range(20):
            statement = rng.randrange(1, 90)
            codes.append(in_child(partial(act_and_die, store_url, receiver.hook, now, statement)))
            now += 61 * SECOND  # beyond the claim of the one that died
        assert -signal.SIGKILL in codes
        assert set(codes) <= {0, -signal.SIGKILL}
        decide_and_deliver(store_url, receiver.hook, now)
        sent = [delivery.webhook_id for delivery in receiver.deliveries]
        assert all(delivery.verified for delivery in receiver.deliveries)
    store = Store(store_url)
    with store.read() as tx:
        incidents = incident_rows(tx)
    store.close()
    assert [i["intent"] for i in incidents] == ["refunds.policy"]
    assert [d["status"] for i in incidents for d in i["deliveries"]] == ["delivered"]
    assert set(sent) == {d["id"] for i in incidents for d in i["deliveries"]}
