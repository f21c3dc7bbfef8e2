"""How long it takes from a request in the log to its verdict in the store, and from a label to the rollback webhook."""

import json
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.alerts import world
from tests.distributed.streaming import Stream
from tests.service.world import judge, request
from tests.support.kafka import Producer
from tests.support.logs import line
from tidegauge.alerts.act import import_and_act
from tidegauge.engine.flink import Flink
from tidegauge.engine.kafka import Kafka
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store
from tidegauge.testing.receiver import WebhookReceiver

TICK = 1.0
A_SECOND = 500
SECONDS = 60
SLICES = 10  # of a second

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]


class Verdicts(threading.Thread):
    """When each request's first verdict could be read by others, in monotonic seconds."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        driver = "postgresql+psycopg" if url.startswith("postgresql") else "sqlite"
        self._engine = sa.create_engine(sa.make_url(url).set(drivername=driver))
        self.seen: dict[str, float] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.05):
            with self._engine.connect() as connection:
                found = connection.exec_driver_sql("SELECT DISTINCT request_id FROM verdicts").scalars().all()
            now = time.monotonic()
            for name in found:
                self.seen.setdefault(name, now)
        self._engine.dispose()


def offer(send: Callable[[Sequence[bytes]], None]) -> dict[str, float]:
    """Requests at a steady rate; when each was handed over."""
    sent: dict[str, float] = {}
    began = time.monotonic()
    for part in range(SECONDS * SLICES):
        time.sleep(max(0.0, began + part / SLICES - time.monotonic()))
        names = [f"r-{part}-{n}" for n in range(A_SECOND // SLICES)]
        send([line(request_id=name, response=f"Within ten days, {name}.") for name in names])
        sent.update(dict.fromkeys(names, time.monotonic()))
    return sent


def measure(stream: Stream, send: Callable[[Sequence[bytes]], None], what: str) -> None:
    """Fails when the 95th percentile is a tick and three seconds or more."""
    send([line(request_id=f"first-{n}") for n in range(500)])
    stream.wait_until_done(500, 300)  # an engine takes a while to start; that is not freshness
    verdicts = Verdicts(stream.store_url)
    verdicts.start()
    sent = offer(send)
    stream.wait_until_done(500 + len(sent), 60)
    verdicts.ended.set()
    verdicts.join()
    delays = [verdicts.seen[name] - sent[name] for name in sent if name in verdicts.seen]
    assert len(delays) > A_SECOND * SECONDS / 100
    cuts = statistics.quantiles(delays, n=100)
    print(f"{what}: {len(delays)} verdicts, p50 {cuts[49]:.2f} s, p95 {cuts[94]:.2f} s, most {max(delays):.2f} s")
    assert cuts[94] < TICK + 3


def test_from_a_file_through_prism(prism: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"

    def append(lines: Sequence[bytes]) -> None:
        with log.open("ab") as file:
            file.write(b"\n".join(lines) + b"\n")

    config = {"sources": [{"files": str(log)}], "stream": {"tick_seconds": TICK, "prism": prism}}
    with Stream(tmp_path / "stream", "prism", f"sqlite:///{tmp_path}/store.db", config) as stream:
        measure(stream, append, "append to verdict, Prism and SQLite")


def test_from_kafka_through_flink(kafka: Kafka, flink: Flink, postgresql: str, tmp_path: Path) -> None:
    producer = Producer(kafka.bootstrap, "requests-freshness", partitions=3)
    section = {"tick_seconds": TICK, "flink": flink.section | {"parallelism": 2}}
    config = {"sources": [{"kafka": kafka.bootstrap, "topics": "requests-freshness"}], "stream": section}
    with Stream(tmp_path / "stream", "flink", postgresql, config) as stream:
        measure(stream, producer.send, "produce to verdict, Kafka, Flink and PostgreSQL")


def test_from_the_label_that_tips_the_balance_to_the_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET", world.KEY)
    delays = []
    for n in range(20):
        store = Store(f"sqlite:///{tmp_path}/store-{n}.db")
        migrate(store)
        delays.append(_tip(store))
        store.close()
    cuts = statistics.quantiles(delays, n=20)
    print(f"label to webhook: p50 {statistics.median(delays):.2f} s, p95 {cuts[18]:.2f} s")
    assert cuts[18] < 5


def _tip(store: Store) -> float:
    """Seconds that the import of the one label takes after which the receiver has a webhook."""
    world.before(store)
    requests = [request(1000 + n, 10 + n / 10) for n in range(60)]
    judge(store, requests)
    with WebhookReceiver(world.KEY) as receiver:
        for answer in requests:
            entry = json.dumps({"request_id": answer.request_id, "hallucinated": True, "reviewer": "ann"})
            began = time.monotonic()
            import_and_act(store, world.config(receiver.hook), world.clock(17), [entry])
            if receiver.deliveries:
                assert receiver.deliveries[0].verified
                return time.monotonic() - began
    raise AssertionError("no label tipped the balance")
