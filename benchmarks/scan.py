"""The job's scan beside a bare loop over the same file, in the same run: CPU and memory.

    python benchmarks/scan.py [--floor ../shared/tools/scan_floor.py] [--records 1000000]

Lines of about 1.9 kB over 3 days, two dozen intents, 200 tenants, no judge, sampled at 2 %. CPU is user + system of
whole processes; from the job's, that of an empty pipeline is taken off. `rollup` is the same job with next to nothing
sampled: scan, both rollups and commits; the rest is what a sample costs, from decoding to its verdict and route. Prints
one JSON object.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START = 1_793_491_200
WORDS = ("the", "refund", "parcel", "order", "account", "card", "invoice", "days", "within", "after", "answer")


def write_log(path: Path, records: int) -> None:
    rng = random.Random(1)
    texts = [" ".join(rng.choices(WORDS, k=55)) for _ in range(400)]
    with path.open("w", encoding="utf-8") as file:
        for n in range(records):
            second = START + n * 3 * 86_400 / records
            at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)) + f".{int(second % 1 * 1000):03d}Z"
            contexts = [{"id": f"c-{k}", "text": rng.choice(texts), "score": 0.9} for k in range(3)]
            record = {
                "request_id": f"{n:032x}",
                "timestamp": at,
                "intent": f"support.intent_{int(24 * rng.random() ** 2):02d}",
                "tenant": f"tenant-{int(200 * rng.random() ** 2):03d}",
                "feature": "support",
                "cohort": "control",
                "provider": "openai",
                "model_version": "atlas-large-2026-08-01",
                "prompt_version": f"support-answer@3.{n * 3 // records}.0",
                "retrieval_index": "idx-7c1e09d2",
                "question": texts[n % 400][:60],
                "contexts": contexts,
                "response": rng.choice(texts),
                "input_tokens": rng.randrange(3000),
                "output_tokens": rng.randrange(600),
                "cost_usd": 0.0012,
                "latency_ms": round(rng.lognormvariate(6.8, 0.5), 1),
                "retrieval_latency_ms": round(rng.lognormvariate(3.8, 0.5), 1),
                "status": "ok",
                "served_by": "primary" if rng.random() < 0.97 else "fallback",
            }
            file.write(json.dumps(record) + "\n")


JOB = """
import sys
from pipelines import jobs
from tidegauge.commands.context import SystemClock
from tidegauge.config import Config, SamplingSection, StoreSection
from tidegauge.storage.store import Store
config = Config(store=StoreSection(url=sys.argv[1]), sampling=SamplingSection(rate=float(sys.argv[3])))
store = Store(config.store.url)
jobs.run(config, store, SystemClock(), logs=[sys.argv[2]], progress=jobs.silent)
import resource
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def cpu_of(command: list[str]) -> tuple[float, str]:
    """CPU seconds of a process and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, printed


def job(folder: Path, name: str, log: Path, rate: float = 0.02) -> tuple[float, int]:
    """CPU seconds and peak memory in kB."""
    cpu, printed = cpu_of([sys.executable, "-c", JOB, f"sqlite:///{folder}/{name}.db", str(log), str(rate)])
    return cpu, int(printed.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--floor", type=Path, default=Path(__file__).parents[2] / "shared" / "tools" / "scan_floor.py")
    parser.add_argument("--records", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, records in (("large", given.records), ("small", given.records // 10), ("none", 1)):
            write_log(folder / f"{label}.jsonl", records)
        # The first one of a fresh installation compiles all of the program's modules.
        empty = sorted(job(folder, f"none-{n}", folder / "none.jsonl")[0] for n in range(3))[1]
        floors, jobs = [], []
        for n in range(3):
            floors.append(
                json.loads(cpu_of([sys.executable, str(given.floor), str(folder / "large.jsonl")])[1])["cpu_s"]
            )
            jobs.append(job(folder, f"large-{n}", folder / "large.jsonl"))
        cpu, memory = sorted(jobs)[1]
        rollup, _ = job(folder, "rollup", folder / "large.jsonl", 1e-7)
        _, small_memory = job(folder, "small", folder / "small.jsonl")
        floor = sorted(floors)[1]
        size = (folder / "large.jsonl").stat().st_size / given.records
    print(
        json.dumps(
            {
                "records": given.records,
                "bytes_a_record": round(size),
                "floor_us": round(floor / given.records * 1e6, 2),
                "job_us": round((cpu - empty) / given.records * 1e6, 2),
                "ratio": round((cpu - empty) / floor, 2),
                "rollup_us": round((rollup - empty) / given.records * 1e6, 2),
                "rollup_ratio": round((rollup - empty) / floor, 2),
                "sample_us": round((cpu - rollup) / (0.02 * given.records) * 1e6),
                "memory_ratio": round(memory / small_memory, 2),
                "empty_pipeline_s": round(empty, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
