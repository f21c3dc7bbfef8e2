"""`tidegauge run` with one worker and with several, on one log: seconds, and the gain.

    python benchmarks/workers.py [--store sqlite|postgresql://…] [--requests 200000] [--workers 2] [--judge 0.3]

Without --judge the job is CPU-bound: scan, rollups and heuristics. With it every sample is asked of a judge that takes
so many seconds for an answer, which is what the job then waits for. Both runs are whole commands, from the start of
the program to its end, on a new store each; the runs take turns and the median counts.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import sqlalchemy as sa

from tests.support.replay import compose
from tidegauge.testing.judge_server import JudgeServer


def seconds(folder: Path, store: str, workers: int, rate: float, judge: str) -> float:
    config = folder / "tidegauge.yaml"
    config.write_text(
        f'store: {{url: "{store}"}}\nsources: [{{files: "{folder}/log.jsonl"}}]\nsampling: {{rate: {rate}}}\n{judge}'
    )
    command = [sys.executable, "-m", "tidegauge.cli", "run", "--config", str(config), "--workers", str(workers)]
    began = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def fresh(store: str, folder: Path) -> str:
    """A store with nothing in it; a schema of its own on PostgreSQL."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    if store == "sqlite":
        return f"sqlite:///{folder}/{name}.db"
    engine = sa.create_engine(sa.make_url(store).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    engine.dispose()
    return f"{store}?options=-csearch_path%3D{name}"


def drop(store: str) -> None:
    if store.startswith("postgresql"):
        base, name = store.split("?options=-csearch_path%3D")
        engine = sa.create_engine(sa.make_url(base).set(drivername="postgresql+psycopg"))
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
        engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default="sqlite")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--judge", type=float, metavar="SECONDS")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, JudgeServer(latency=args.judge or 0.0) as server:
        folder = Path(name)
        (folder / "log.jsonl").write_bytes(b"\n".join(compose(args.requests)) + b"\n")
        judge = f"judge: {{base_url: {server.base_url}, model: m, concurrency: 16}}\n" if args.judge else ""
        taken: dict[int, list[float]] = {1: [], args.workers: []}
        for turn in range(args.rounds):
            for workers in sorted(taken, reverse=bool(turn % 2)):
                store = fresh(args.store, folder)
                taken[workers].append(seconds(folder, store, workers, args.rate, judge))
                drop(store)
        medians = {workers: statistics.median(times) for workers, times in taken.items()}
        size = (folder / "log.jsonl").stat().st_size / 1e6
    kind = f"judge of {args.judge} s" if args.judge else "CPU-bound"
    where = f"{args.store.split(':', 1)[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{args.requests:,} requests, {size:.0f} MB, {kind}, {where}")
    for workers, median in medians.items():
        print(f"  {workers} worker(s): {median:.1f} s; all: {', '.join(f'{one:.1f}' for one in taken[workers])}")
    print(f"  gain {medians[1] / medians[args.workers]:.2f}x")


if __name__ == "__main__":
    main()
