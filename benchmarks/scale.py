"""How the job grows: with task managers, with the log, and what Flink and Kafka cost beside a plain `run`.

    python -m benchmarks.scale [judges] [overhead] [growth] [idle] [small] [short]

Wants TIDEGAUGE_TEST_ENGINES (see `make engines`) and TIDEGAUGE_TEST_POSTGRESQL_URL. Every figure is a ratio of
two measurements of this run:

judges    answers a second of the judge of a job that waits for it: two task managers against one
overhead  CPU seconds, user and system, of Flink and a worker reading from Kafka, against `tidegauge run`, which is one
          process too, on the same log in a file, both on PostgreSQL, in turn, and the median of three rounds; the
          broker's own are given beside it. A log of 5,000,000 lines of 2 kB, contexts included. Wants 25 GB of disk
          and 20 minutes
small     the same with lines of 300 bytes, which give a worker next to nothing to do
short     the same with 400,000 lines of 2 kB, which are less than the starts
idle      CPU seconds a second of all processes of a stream to which nothing comes: its own and the engine's
growth    seconds and resident memory of `tidegauge run`: a log of ten times the records against one that is larger than
          what is in hand at once

Prints one JSON object.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.scan import write_log
from tests.conftest import drop_schema, postgresql_url
from tests.distributed.streaming import KEY, PROGRAM, Stream, counts, wait_for
from tests.engines import engines, free_ports
from tests.support.kafka import Producer
from tests.support.logs import line
from tidegauge.engine.flink import Flink, Ports
from tidegauge.engine.kafka import Kafka
from tidegauge.testing.judge_server import JudgeServer

JUDGED = 1_600
CONCURRENCY = 8
LATENCY = 0.2
OVERHEAD_RECORDS = 5_000_000
SHORT_RECORDS = 400_000
ROUNDS = 3
GROWTH_RECORDS = 1_500_000
IDLE_SECONDS = 60


def records(path: Path, count: int) -> None:
    """A log of a few intents, each record another answer without contexts."""
    with path.open("wb") as file:
        for n in range(count):
            text = f"Refunds arrive within {n} days, says case {n * 7919}."
            file.write(line(request_id=f"r-{n}", intent=f"intent.{n % 12}", response=text, latency_ms=n % 4000) + b"\n")


@contextmanager
def cluster(task_managers: int, folder: Path) -> Iterator[Flink]:
    flink = Flink(engines("flink/lib"), task_managers, Ports.after(free_ports(len(Ports()))), folder / "flink")
    try:
        flink.start()
        yield flink
    finally:
        flink.stop()


@contextmanager
def database() -> Iterator[str]:
    url = postgresql_url()
    try:
        yield url
    finally:
        drop_schema(url)


def judges(task_managers: int) -> float:
    """Answers a second between a tenth and nine tenths of the samples, all of which get a verdict."""
    with tempfile.TemporaryDirectory() as name, database() as url, JudgeServer(latency=LATENCY) as server:
        folder = Path(name)
        records(folder / "log.jsonl", JUDGED)
        with cluster(task_managers, folder) as flink:
            config = {
                "sources": [{"files": str(folder / "log.jsonl")}],
                "sampling": {"rate": 1.0},
                "judge": {"base_url": server.base_url, "model": "m", "concurrency": CONCURRENCY},
                "stream": {"flink": flink.section | {"parallelism": task_managers}},
            }
            with Stream(folder / "stream", "flink", url, config) as stream:
                wait_for(lambda: server.counters.answered >= JUDGED * 0.1, 300, "a tenth")
                began, first = time.monotonic(), server.counters.answered
                wait_for(lambda: server.counters.answered >= JUDGED * 0.9, 600, "the most")
                rate = (server.counters.answered - first) / (time.monotonic() - began)
                stream.wait_until_done(JUDGED, 300)
                stream.stop()
            if server.counters.answered != JUDGED or counts(url)["judged"] != JUDGED:
                raise SystemExit(f"{server.counters.answered} answers for {JUDGED} samples")
    return rate


def overhead(count: int, write: Callable[[Path, int], None]) -> dict[str, Any]:
    """Several rounds of both, one after the other, for the speed of a machine that others use changes in minutes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "log.jsonl", count)
        broker = Kafka(engines("kafka/lib"), free_ports(2), folder / "kafka")
        broker.start()
        try:
            producer = Producer(broker.bootstrap, "requests", partitions=3)
            with (folder / "log.jsonl").open("rb") as lines:
                producer.send(lines)
            rounds = [_round(folder, broker, count, number) for number in range(ROUNDS)]
        finally:
            broker.stop()
    return {"records": count, "rounds": rounds, "ratio": median(r["flink_cpu_s"] / r["run_cpu_s"] for r in rounds)}


def _round(folder: Path, broker: Kafka, count: int, number: int) -> dict[str, float]:
    with database() as url:
        plain, _, _ = run(url, folder / "log.jsonl")
    idle = cpu([broker.status()[0].pid])
    with cluster(1, folder) as flink, database() as url:
        section = {"flink": flink.section | {"parallelism": 1}}
        config = {"sources": [{"kafka": broker.bootstrap, "topics": "requests"}], "stream": section, "job": {}}
        with Stream(folder / f"stream-{number}", "flink", url, config) as stream:
            parts = [part.pid for part in flink.status()]
            before = cpu(parts)
            stream.wait_until_done(count, 1_800)
            engine = cpu(parts) - before + cpu([stream.pid])
            stream.stop()
    return {"run_cpu_s": plain, "flink_cpu_s": engine, "kafka_cpu_s": cpu([broker.status()[0].pid]) - idle}


def idle() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name, cluster(1, Path(name)) as flink, database() as url:
        prism = {"location": str(engines("prism") / "prism")}
        engine = [part.pid for part in flink.status()]
        return {
            "prism": _idle(Path(name) / "on-prism", "prism", f"sqlite:///{name}/store.db", {"prism": prism}, []),
            "flink": _idle(Path(name) / "on-flink", "flink", url, {"flink": flink.section}, engine),
        }


def _idle(folder: Path, runner: str, url: str, section: dict[str, Any], engine: list[int | None]) -> float:
    folder.mkdir()
    records(folder / "log.jsonl", 1_000)
    config = {"sources": [{"files": str(folder / "log.jsonl")}], "stream": section}
    with Stream(folder / "stream", runner, url, config) as stream:
        stream.wait_until_done(1_000, 300)
        time.sleep(10)
        pids = [*engine, stream.pid]
        before, began = cpu(pids), time.monotonic()
        time.sleep(IDLE_SECONDS)
        share = (cpu(pids) - before) / (time.monotonic() - began)
        stream.stop()
    return share


def cpu(pids: list[int | None]) -> float:
    """CPU seconds of processes and of the children that they have now."""
    total = 0.0
    for pid in filter(None, pids):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def run(url: str, log: Path) -> tuple[float, float, int]:
    """CPU seconds, seconds and the most resident bytes of `tidegauge run`."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [str(PROGRAM), "run", "--store", url, "--log", str(log)]
    environment = {**os.environ, "TIDEGAUGE_SAMPLING_KEY": KEY}
    process = subprocess.Popen(
        command, cwd=log.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    most = 0
    while process.poll() is None:
        try:
            most = max(most, psutil.Process(process.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    if process.wait():
        raise SystemExit("tidegauge run failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used, time.monotonic() - began, most


def growth() -> dict[str, float]:
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for factor in (1, 10):
            folder = Path(name) / str(factor)
            folder.mkdir()
            records(folder / "log.jsonl", GROWTH_RECORDS * factor)
            _, seconds, most = run(f"sqlite:///{folder}/store.db", folder / "log.jsonl")
            found |= {f"seconds_{factor}x": seconds, f"resident_mb_{factor}x": most / 1e6}
    found["time_ratio"] = found["seconds_10x"] / found["seconds_1x"]
    found["memory_ratio"] = found["resident_mb_10x"] / found["resident_mb_1x"]
    return found


def main() -> None:
    os.environ["TIDEGAUGE_SAMPLING_KEY"] = KEY
    wanted = sys.argv[1:] or ["judges", "overhead", "growth", "idle"]
    found: dict[str, Any] = {}
    if "judges" in wanted:
        one, two = judges(1), judges(2)
        found["judges"] = {"one_per_s": one, "two_per_s": two, "ratio": two / one, "ideal_one": CONCURRENCY / LATENCY}
    if "overhead" in wanted:
        found["overhead"] = overhead(OVERHEAD_RECORDS, write_log)
    if "growth" in wanted:
        found["growth"] = growth()
    if "idle" in wanted:
        found["idle"] = idle()
    if "small" in wanted:
        found["small"] = overhead(OVERHEAD_RECORDS, records)
    if "short" in wanted:
        found["short"] = overhead(SHORT_RECORDS, write_log)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
