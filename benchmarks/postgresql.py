"""Rows a second into PostgreSQL: bare COPY, the job's merge, and single statements in a batch, into the same tables.

    python benchmarks/postgresql.py postgresql://postgres@127.0.0.1/postgres [--rows 50000] [--rounds 5]

Each way writes the same rows in transactions of the same size into a schema of its own, with all keys and indexes. The
ways take turns, so that a noisy machine disturbs them alike; the median of the rounds counts.
"""

import argparse
import random
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from tidegauge.domain import HALLUCINATION
from tidegauge.storage import bulk
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Row, Store, Transaction, queries

Way = Callable[[Transaction, str, Sequence[Row]], None]

EVENT = 1_793_491_200_000_000


def samples(count: int, rng: random.Random) -> list[Row]:
    """Sampled requests with a payload of about 1.5 kB."""
    return [
        {
            "request_id": f"{rng.getrandbits(128):032x}",
            "sha256": f"{rng.getrandbits(256):064x}",
            "timestamp": EVENT + n * 1000,
            "intent": f"intent.{n % 20}",
            "deployment": f"deployment-{n % 3}",
            "served_by": "primary",
            "tenant": f"tenant-{n % 50}",
            "feature": "chat",
            "cohort": "",
            "experiment": "",
            "provider": "p",
            "pi1": 0.02,
            "plan": 1,
            "payload": rng.randbytes(750).hex().encode(),
            "owner": "owner",
            "sweep": "sweep",
            "free_at": 1 << 62,
            "generation": "generation",
            "block_start": 0,
            "ingested_at": EVENT,
        }
        for n in range(count)
    ]


def verdicts(count: int, rng: random.Random) -> list[Row]:
    """Scores of one evaluator each."""
    return [
        {
            "request_id": f"{rng.getrandbits(128):032x}",
            "indicator": HALLUCINATION,
            "evaluator": "overlap",
            "version": "1.0.0",
            "content_hash": "0123456789abcdef",
            "score": rng.random(),
            "label": "faithful",
            "confidence": rng.random(),
            "reason": "three of four statements are in the contexts",
            "asks": 0,
            "decided": 1,
            "judged_at": EVENT + n,
            "spans": "[]",
            "raw": "",
            "answered_by": "",
            "calls": 0,
            "input_tokens": 0,
            "output_tokens": 0,
            "cost_nano_usd": None,
        }
        for n in range(count)
    ]


def rollups(count: int, rng: random.Random) -> list[Row]:
    """Day rows, in the order of their keys."""
    names = ("requests", "input_tokens", "output_tokens", "cost_nano_usd", "cost_unknown")
    return [
        {"day": 20_000 + n // 1000, "account": n % 1000, **{name: rng.randrange(1000) for name in names}}
        for n in range(count)
    ]


TABLES = {"insert_sample": samples, "insert_verdict": verdicts, "add_day": rollups}


def in_order(rows: list[Row], portion: int) -> list[Row]:
    """Each portion in the order of its keys."""
    portions = (rows[start : start + portion] for start in range(0, len(rows), portion))
    return [row for part in portions for row in sorted(part, key=lambda row: tuple(row.values())[:2])]


def copied(tx: Transaction, query: str, rows: Sequence[Row]) -> None:
    """Nothing but COPY of the columns that the statement writes."""
    merge = bulk.merge_of(query, str(queries("postgresql")[query].text))
    table = merge.merge.split()[2]
    constants = {"samples": {"state": "pending"}}.get(table, {})
    columns = (*merge.columns, *constants)
    driver: Any = tx._connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([*[row[name] for name in merge.columns], *constants.values()])


def merged(tx: Transaction, query: str, rows: Sequence[Row]) -> None:
    tx.bulk(query, rows)


def batched(tx: Transaction, query: str, rows: Sequence[Row]) -> None:
    tx.many(query, rows)


WAYS: dict[str, Way] = {"COPY": copied, "merge": merged, "batch": batched}


def seconds(store: Store, way: Way, query: str, rows: Sequence[Row], portion: int) -> float:
    began = time.perf_counter()
    for start in range(0, len(rows), portion):
        with store.write() as tx:
            way(tx, query, rows[start : start + portion])  # in the order of their keys, as the job writes them
    return time.perf_counter() - began


def measure(base: str, count: int, portion: int, rounds: int) -> dict[str, dict[str, float]]:
    """Rows a second by table and way."""
    found: dict[str, dict[str, float]] = {}
    engine = sa.create_engine(sa.make_url(base).set(drivername="postgresql+psycopg"))
    for query, make in TABLES.items():
        rows = in_order(make(count, random.Random(1)), portion)
        taken: dict[str, list[float]] = {name: [] for name in WAYS}
        for turn in range(rounds):
            for name in random.Random(turn).sample(sorted(WAYS), len(WAYS)):
                schema = f"bench_{uuid.uuid4().hex[:12]}"
                with engine.begin() as connection:
                    connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
                store = Store(f"{base}?options=-csearch_path%3D{schema}")
                migrate(store)
                taken[name].append(seconds(store, WAYS[name], query, rows, portion))
                store.close()
                with engine.begin() as connection:
                    connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
        found[query] = {name: count / statistics.median(times) for name, times in taken.items()}
    engine.dispose()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--portion", type=int, default=2_000, help="rows of a transaction")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for query, found in measure(args.url, args.rows, args.portion, args.rounds).items():
        figures = ", ".join(f"{name} {rate:,.0f} rows/s" for name, rate in found.items())
        print(f"{query}: {figures}; merge / COPY {found['merge'] / found['COPY']:.2f}")


if __name__ == "__main__":
    main()
