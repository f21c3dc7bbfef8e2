"""The judge stage beside the plain client of the openai package and the ideal, in one run, against one server.

    python benchmarks/judge.py [--tools ../shared/tools] [--job] [--overlap LINES]

The server answers after 200 ms. The ideal is calls / in flight * 200 ms. `window` is the cascade with its judge, as a
worker runs it; `job` is the whole job over a log of as many samples: scan, cache, judge, routing and store; `overlap`
is the job over many lines of which 500 are judged at 16 in flight, beside the same job without a judge. Needs the
dependency group `bench`. Prints one JSON object; CPU is user + system of the client's process.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evaluators.build import build_cascade
from evaluators.window import JudgeWindow
from tidegauge.config import Config, JudgeSection, ReviewSection, SamplingSection, StoreSection
from tidegauge.domain import Context, Deployment, Request

LATENCY = 0.2
PASSAGE = "Refunds arrive within ten days. " * 20
DEPLOYMENT = Deployment(model_version="m", prompt_version="p", retrieval_index="r")


@contextmanager
def server(tools: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(tools / "judge_server.py"), "--port", str(port), "--latency-ms", str(LATENCY * 1000)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def window(base_url: str, calls: int, in_flight: int) -> dict[str, float]:
    config = Config(judge=JudgeSection(base_url=base_url, model="judge", concurrency=in_flight))
    requests = [
        Request(
            request_id=str(n),
            timestamp=0,
            intent="refunds.policy",
            deployment=DEPLOYMENT,
            question=f"Question {n}: when do refunds arrive?",
            contexts=(Context(text=PASSAGE),),
            response=f"In ten days, says the policy of office {n}.",
        )
        for n in range(calls)
    ]
    with JudgeWindow(build_cascade(config)) as judged:
        judged.submit(requests[0])
        judged.drain()
        start, used = time.perf_counter(), cpu()
        verdicts = 0
        for request in requests:
            judged.submit(request)
            verdicts += len(judged.finished())
        verdicts += len(judged.drain())
        wall, used = time.perf_counter() - start, cpu() - used
    assert verdicts == calls
    return figures(calls, in_flight, wall, used)


def figures(calls: int, in_flight: int, wall: float, used: float) -> dict[str, float]:
    ideal = calls / in_flight * LATENCY
    return {
        "wall_s": round(wall, 2),
        "share_of_ideal": round(ideal / wall, 3),
        "times_ideal": round(wall / ideal, 2),
        "cpu_ms_per_record": round(used / calls * 1e3, 2),
    }


def floor(tools: Path, base_url: str, calls: int, in_flight: int) -> Any:
    command = [sys.executable, str(tools / "openai_floor.py"), "--base-url", base_url, "--latency", str(LATENCY)]
    command += ["--n", str(calls), "--concurrency", str(in_flight)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def job(base_url: str, calls: int, in_flight: int) -> dict[str, float]:
    """The job over a log of `calls` samples; CPU net of a run over one line."""
    from pipelines import jobs
    from tidegauge.commands.context import SystemClock
    from tidegauge.storage.store import Store

    with tempfile.TemporaryDirectory() as name:

        def run(count: int) -> tuple[float, float]:
            folder = Path(name) / str(count)
            folder.mkdir()
            with (folder / "log.jsonl").open("w") as file:
                for n in range(count):
                    file.write(json.dumps(line(n, count)) + "\n")
            config = Config(
                store=StoreSection(url=f"sqlite:///{folder}/store.db"),
                sampling=SamplingSection(rate=1.0),
                review=ReviewSection(labels_per_day=20),
                judge=JudgeSection(base_url=base_url, model="judge", concurrency=in_flight),
            )
            store = Store(config.store.url)
            start, used = time.perf_counter(), cpu()
            jobs.run(config, store, SystemClock(), logs=[f"{folder}/log.jsonl"], progress=jobs.silent)
            spent = time.perf_counter() - start, cpu() - used
            store.close()
            return spent

        run(1)
        empty_wall, empty = run(2)
        wall, used = run(calls)
    return figures(calls, in_flight, wall - empty_wall, used - empty)


def overlap(base_url: str, lines: int) -> dict[str, float]:
    """Seconds of the scan alone, of the judge alone (ideal), and of both; `ratio` is both by the larger one."""
    from scan import write_log

    from pipelines import jobs
    from tidegauge.commands.context import SystemClock
    from tidegauge.storage.store import Store

    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "log.jsonl"
        write_log(log, lines)

        def run(label: str, judge: JudgeSection, files: str) -> float:
            config = Config(
                store=StoreSection(url=f"sqlite:///{name}/{label}.db"),
                sampling=SamplingSection(rate=500 / lines),
                judge=judge,
            )
            store = Store(config.store.url)
            start = time.perf_counter()
            jobs.run(config, store, SystemClock(), logs=[files], progress=jobs.silent)
            store.close()
            return time.perf_counter() - start

        judge = JudgeSection(base_url=base_url, model="judge", concurrency=16)
        few = Path(name) / "few.jsonl"
        write_log(few, 20_000)
        run("warm", judge, str(few))  # imports and connections are made once in a worker's life
        alone = run("scan", JudgeSection(), str(log))
        both = run("both", judge, str(log))
    ideal = 500 / 16 * LATENCY
    return {
        "scan_s": round(alone, 2),
        "judge_s": ideal,
        "both_s": round(both, 2),
        "ratio": round(both / max(alone, ideal), 2),
    }


def line(n: int, count: int) -> dict[str, Any]:
    return {
        "request_id": f"r-{n}",
        "timestamp": f"2026-10-01T{n * 23 // count:02d}:00:00Z",
        "intent": f"intent.{n % 5}",
        "model_version": "m",
        "prompt_version": "p",
        "retrieval_index": "i",
        "question": f"Question {n}: when do refunds arrive?",
        "contexts": [{"text": PASSAGE}],
        "response": f"In ten days, says the policy of office {n}.",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=Path, default=Path(__file__).parents[2] / "shared" / "tools")
    parser.add_argument("--job", action="store_true")
    parser.add_argument("--overlap", type=int, metavar="LINES")
    given = parser.parse_args()
    os.environ.setdefault("TIDEGAUGE_SAMPLING_KEY", "bench")
    found: dict[str, Any] = {}
    with server(given.tools) as base_url:
        for calls, in_flight in ((2000, 64), (6000, 256)):
            name = f"{calls} at {in_flight}"
            found[name] = {"window": window(base_url, calls, in_flight)}
            found[name]["floor"] = floor(given.tools, base_url, calls, in_flight)
            found[name]["throughput_of_floor"] = round(
                found[name]["floor"]["wall_s"] / found[name]["window"]["wall_s"], 2
            )
        if given.job:
            found["job, 2000 at 64"] = job(base_url, 2000, 64)
        if given.overlap:
            found["overlap"] = overlap(base_url, given.overlap)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
