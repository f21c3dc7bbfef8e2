"""Measures what `tidegauge capacity` reckons with, and with --write puts it into its data file.

    python benchmarks/capacity.py [--records 200000] [--samples 4000] [--postgresql postgresql://HOST/NAME] [--write]

CPU is user + system of the job's whole process, less that of a job over one record. Lines are those of
benchmarks/scan.py. Sizes are those of the store's files, of its tables with their indexes on PostgreSQL. Judged samples
are asked of a server on loopback in another process. Prints one JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from benchmarks.scan import cpu_of, write_log
from tests.conftest import drop_schema, postgresql_schema
from tidegauge.service.capacity import DATA

JOB = """
import sys
from pipelines import jobs
from tidegauge.commands.context import SystemClock
from tidegauge.config import Config, JudgeSection, SamplingSection, StoreSection
from tidegauge.storage.store import Store
url, log, rate, judge = sys.argv[1:]
section = JudgeSection(base_url=judge or None, model="m")
config = Config(store=StoreSection(url=url), sampling=SamplingSection(rate=float(rate)), judge=section)
store = Store(url)
jobs.run(config, store, SystemClock(), logs=[log], progress=jobs.silent)
"""

JUDGE = """
import sys
from tidegauge.testing.judge_server import Answer, JudgeServer
with JudgeServer(lambda request: Answer("faithful")) as server:
    print(server.base_url, flush=True)
    sys.stdin.read()
"""


def run(url: str, log: Path, rate: float, judge: str = "") -> float:
    """CPU seconds of a job."""
    return cpu_of([sys.executable, "-c", JOB, url, str(log), str(rate), judge])[0]


def value(url: str, statement: str) -> int:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        if url.startswith("sqlite"):
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        found = int(connection.exec_driver_sql(statement).scalar() or 0)
    engine.dispose()
    return found


def size(url: str) -> int:
    if url.startswith("sqlite"):
        return value(url, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
    return value(
        url,
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = current_schema() AND c.relkind = 'r'",
    )


def store_bytes(urls: list[str], logs: dict[str, Path]) -> tuple[dict[str, float], dict[str, float]]:
    """Bytes of a sample and of a rollup row; CPU seconds by log. `urls` are three empty stores."""
    empty, rollup, sampled = urls
    cpu = {
        "none": run(empty, logs["none"], 0.02),
        "rollup": run(rollup, logs["large"], 1e-7),
        "sampled": run(sampled, logs["large"], 0.02),
    }
    rows = value(rollup, "SELECT (SELECT count(*) FROM rollup_5m) + (SELECT count(*) FROM rollup_day)")
    samples = value(sampled, "SELECT count(*) FROM samples")
    cpu["samples"] = samples
    return {"rollup_row": (size(rollup) - size(empty)) / rows, "sample": (size(sampled) - size(rollup)) / samples}, cpu


def judged_seconds(folder: Path, samples: int) -> float:
    """CPU of the job for a judged sample more than for one of the cheap steps alone."""
    write_log(folder / "judged.jsonl", samples)
    plain = run(f"sqlite:///{folder}/plain.db", folder / "judged.jsonl", 1)
    with subprocess.Popen([sys.executable, "-c", JUDGE], stdin=-1, stdout=-1, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        judged = run(f"sqlite:///{folder}/judged.db", folder / "judged.jsonl", 1, server.stdout.readline().strip())
        server.stdin.close()
    return (judged - plain) / value(f"sqlite:///{folder}/judged.db", "SELECT count(*) FROM verdicts WHERE calls > 0")


def measure(records: int, samples: int, postgresql: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        logs = {"large": folder / "large.jsonl", "none": folder / "none.jsonl"}
        write_log(logs["large"], records)
        write_log(logs["none"], 1)
        on_sqlite, cpu = store_bytes([f"sqlite:///{folder}/{n}.db" for n in range(3)], logs)
        found: dict[str, Any] = {
            "measured": datetime.now(UTC).date().isoformat(),
            "machine": f"{os.uname().machine}, {psutil.cpu_count()} cores",
            "records_per_core_second": round(records / (cpu["rollup"] - cpu["none"])),
            "samples_per_core_second": round(cpu["samples"] / (cpu["sampled"] - cpu["rollup"])),
            "judged_per_core_second": round(1 / judged_seconds(folder, samples)),
            "bytes_per_record": round(logs["large"].stat().st_size / records),
            "sqlite": {name: round(size) for name, size in on_sqlite.items()},
        }
        if postgresql:
            urls = [postgresql_schema(postgresql) for _ in range(3)]
            found["postgresql"] = {name: round(size) for name, size in store_bytes(urls, logs)[0].items()}
            for url in urls:
                drop_schema(url)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--samples", type=int, default=4_000)
    parser.add_argument("--postgresql", metavar="URL")
    parser.add_argument("--write", action="store_true", help="needs --postgresql")
    given = parser.parse_args()
    found = json.dumps(measure(given.records, given.samples, given.postgresql), indent=2)
    print(found)
    if given.write and given.postgresql:
        (Path(__file__).parents[1] / "tidegauge" / "service" / DATA).write_text(found + "\n")


if __name__ == "__main__":
    main()
