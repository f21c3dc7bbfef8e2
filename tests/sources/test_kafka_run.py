"""The job from Kafka: the same tables as from a file, and an end where the topic had its end when it began."""

import threading
from pathlib import Path

import msgspec
import pytest

from pipelines import jobs
from tests.support import replay
from tests.support.ingest import Now
from tests.support.kafka import Broker, Producer, committed
from tests.support.logs import line
from tests.support.replay import compose, config_of, conserved, digest, dump_of, run_job
from tidegauge.config_sources import SourceSection
from tidegauge.errors import ConfigError
from tidegauge.storage.status import status
from tidegauge.storage.store import Store


class Ticking(Now):
    """A clock that goes on at every look."""

    def now(self) -> int:
        self.time += 1
        return self.time


def run_from(url: str, source: SourceSection, clock: Now | None = None) -> None:
    store = Store(url)
    try:
        config = msgspec.structs.replace(config_of(url, 1 << 20), sources=(source,))
        jobs.run(config, store, clock or Now(), progress=jobs.silent)
    finally:
        store.close()


def test_a_log_in_three_partitions_makes_the_same_tables_as_in_a_file(
    broker: Broker, store_url: str, tmp_path: Path
) -> None:
    lines = compose(3_000)
    replay.whole(tmp_path, lines)
    file_url = f"sqlite:///{tmp_path}/file.db"
    run_job(file_url, f"{tmp_path}/*.jsonl")
    producer = Producer(broker.bootstrap, tmp_path.name, partitions=3)
    source = SourceSection(kafka=broker.bootstrap, topics=tmp_path.name, group=tmp_path.name)
    half = len(lines) // 2
    for part in (lines[:half], lines[half:], []):
        producer.send(part)
        run_from(store_url, source)
    conserved(store_url, lines)
    assert digest(dump_of(store_url)) == digest(dump_of(file_url))
    ends = committed(broker.bootstrap, tmp_path.name, tmp_path.name, range(3))
    assert sum(ends.values()) == len(lines)


@pytest.mark.timeout(60)
def test_run_ends_though_the_topic_goes_on(broker: Broker, tmp_path: Path) -> None:
    topic = broker.topic()
    topic.send(*(line(request_id=f"r-{n}") for n in range(100)))
    ended = threading.Event()
    sent = [100]

    def keep_sending() -> None:
        while not ended.is_set():
            topic.send(*(line(request_id=f"r-{n}") for n in range(sent[0], sent[0] + 10)))
            sent[0] += 10

    sender = threading.Thread(target=keep_sending)
    sender.start()
    url = f"sqlite:///{tmp_path}/store.db"
    try:
        run_from(url, SourceSection(kafka=broker.bootstrap, topics=topic.name, record_bytes=1 << 14), Ticking())
    finally:
        ended.set()
        sender.join()
    store = Store(url)
    with store.read() as tx:
        seen = status(tx, 0)["seen"]
    store.close()
    assert 100 <= seen < sent[0]


def test_a_secret_that_is_not_there_ends_run_before_it_looks(tmp_path: Path) -> None:
    source = SourceSection(kafka="127.0.0.1:1", topics="t", config_env={"sasl.password": "NOT_SET_ANYWHERE"})
    with pytest.raises(ConfigError, match="NOT_SET_ANYWHERE: not set"):
        run_from(f"sqlite:///{tmp_path}/store.db", source)
