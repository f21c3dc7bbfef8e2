"""Whatever is killed, stopped, added or set back while it streams, the tables are the same in the end."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.distributed.jumping import jump
from tests.distributed.streaming import Stream, compose, counts, digest, run_once
from tests.engines import engines, free_ports
from tests.support.kafka import Producer
from tests.support.postgresql import Server, private_server
from tidegauge.engine.flink import Flink, Ports
from tidegauge.engine.kafka import Kafka
from tidegauge.errors import StoreError

FAULTS = int(os.environ.get("TIDEGAUGE_TEST_FAULTS", "30"))
SEED = int(os.environ.get("TIDEGAUGE_TEST_SEED", "1"))
PAUSES = (3.0, 9.0)
RECOVERED = 0.7
"""Share of the faults after which all that is there is done before the next one; the others meet a recovery."""

REQUESTS = 800 * FAULTS
MOST_PARTITIONS = 8

pytestmark = pytest.mark.faults


class World:
    """All that can break. Every fault leaves things as they were, but for time lost and partitions won."""

    def __init__(self, folder: Path, prism: dict[str, str], kafka: Kafka, flink: Flink, server: Server) -> None:
        self.random = random.Random(SEED)
        self.clock = folder / "clock"
        jump(self.clock, 0)
        self.kafka, self.flink, self.server = kafka, flink, server
        self.producer = Producer(kafka.bootstrap, "requests-faults", partitions=3)
        sources = [{"kafka": kafka.bootstrap, "topics": "requests-faults"}]
        on_flink = {"tick_seconds": 0.5, "flink": flink.section | {"parallelism": 2}}
        self.stream = Stream(folder / "one", "flink", server.url, {"sources": sources, "stream": on_flink}, self.clock)
        on_prism = {"tick_seconds": 0.5, "prism": prism}
        self.other = Stream(folder / "two", "prism", server.url, {"sources": sources, "stream": on_prism}, self.clock)
        self.partitions = 3

    @property
    def faults(self) -> list[Callable[[], None]]:
        return [
            self.kill_a_task_manager,
            self.kill_a_worker,
            self.kill_the_broker,
            self.restart_postgresql,
            self.kill_the_submitter,
            self.cancel_and_submit_again,
            self.add_a_partition,
            self.run_two_at_once,
            self.set_the_clock,
        ]

    def kill_a_task_manager(self) -> None:
        number = self.random.randrange(len(self.flink.task_managers))
        assert self.flink.task_managers[number].kill()
        self.pause()
        self.flink.start_task_manager(number)

    def kill_a_worker(self) -> None:
        pool = self.flink.pool.process()
        assert pool is not None
        if workers := pool.children(recursive=True):
            self.random.choice(sorted(workers, key=lambda process: process.pid)).kill()

    def kill_the_broker(self) -> None:
        assert self.kafka.kill()
        self.pause()
        self.kafka.start()

    def restart_postgresql(self) -> None:
        self.server.crash()
        time.sleep(self.random.uniform(0, 3))
        self.server.start()

    def kill_the_submitter(self) -> None:
        self.stream.kill()
        self.pause()
        self.stream.start()

    def cancel_and_submit_again(self) -> None:
        self.stream.end()
        self.stream.start()

    def add_a_partition(self) -> None:
        self.partitions = min(self.partitions + 1, MOST_PARTITIONS)
        if self.partitions > self.producer.partitions:
            self.producer.add_partitions(self.partitions)

    def run_two_at_once(self) -> None:
        self.other.start()
        self.pause()
        self.pause()
        self.random.choice([self.other.kill, self.other.end])()

    def set_the_clock(self) -> None:
        jump(self.clock, self.random.choice([-3600.0, -30.0, 30.0, 3600.0, 0.0]))

    def pause(self) -> None:
        """Some seconds of undisturbed work, at another moment of it each time."""
        time.sleep(self.random.uniform(*PAUSES))


@pytest.fixture
def world(tmp_path: Path, prism: dict[str, str]) -> Iterator[World]:
    directory = engines("prism", "kafka/lib", "flink/lib")
    with private_server() as server, ExitStack() as running:
        kafka = Kafka(directory, free_ports(2), tmp_path / "kafka")
        running.callback(kafka.stop)
        kafka.start()
        flink = Flink(directory, 2, Ports.after(free_ports(len(Ports()))), tmp_path / "flink")
        running.callback(flink.stop)
        flink.start()
        made = World(tmp_path, prism, kafka, flink, server)
        try:
            yield made
        finally:
            for stream in (made.stream, made.other):
                if stream.alive():
                    stream.kill()


class Production(threading.Thread):
    """Sends the log little by little for as long as the faults last."""

    def __init__(self, producer: Producer, log: Sequence[bytes]) -> None:
        super().__init__(daemon=True)
        self._producer = producer
        self._log = log
        self.hurry = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for start in range(0, len(self._log), 20):
                self._producer.send(self._log[start : start + 20])
                self.hurry.wait(1.0)
        except Exception as error:
            self.failure = error
            raise


def test_the_tables_are_the_same_whatever_happens(world: World, tmp_path: Path) -> None:
    log = compose(tmp_path / "log", REQUESTS)
    (tmp_path / "log.jsonl").write_bytes(b"".join(log))
    wanted = f"sqlite:///{tmp_path}/wanted.db"
    run_once(wanted, tmp_path / "log.jsonl")

    order = [n % len(world.faults) for n in range(FAULTS)]
    world.random.shuffle(order)
    production = Production(world.producer, log)
    stream = world.stream
    with stream:
        production.start()
        stream.wait_until_done(1, 120)
        for number, index in enumerate(order, 1):
            fault = world.faults[index]
            began = time.monotonic()
            fault()
            if world.random.random() < RECOVERED:
                stream.wait_until_done(world.producer.sent, 180, restart=True)
            seconds = time.monotonic() - began
            print(f"fault {number} of {FAULTS}: {fault.__name__}, {seconds:.1f} s; {_seen(world)}", flush=True)
            world.pause()
        production.hurry.set()
        production.join()
        assert production.failure is None
        began = time.monotonic()
        stream.wait_until_done(len(log), 300, restart=True)
        print(f"all done {time.monotonic() - began:.1f} s after the last record")
        stream.end()
    assert digest(world.server.url) == digest(wanted)
    assert not [p for p in psutil.Process().children(recursive=True) if p.name() == "prism"]


def _seen(world: World) -> str:
    try:
        found = counts(world.server.url)
    except StoreError as error:
        return str(error)
    return f"seen {found['seen']}, pending {found['pending']}"
