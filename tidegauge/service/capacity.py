"""What a number of requests a day takes: workers, store, judge, money. Arithmetic over measured coefficients."""

import importlib.resources
import math
from typing import Any

import msgspec

from tidegauge.domain import Value
from tidegauge.storage.flow import histograms
from tidegauge.storage.store import Transaction

DATA = "capacity.json"
"""What benchmarks/capacity.py measured."""

DAY_SECONDS = 86_400
USED = 0.6
"""Share of a core that is planned for; the rest is for catching up after a standstill."""

PARTITION_BYTES = 10e6
"""Bytes a second of a Kafka partition: an assumption, for any worker reads any partition."""

FEWEST_RECORDS, FEWEST_CALLS = 100_000, 100
"""From so many on, a store's own figures count for more than the shipped ones."""


class StoreBytes(Value, frozen=True):
    sample: float
    rollup_row: float


class Coefficients(Value, frozen=True):
    """Per second of one core: records read and rolled up, samples judged by the cheap steps, by a judge besides."""

    measured: str
    machine: str
    records_per_core_second: float
    samples_per_core_second: float
    judged_per_core_second: float
    bytes_per_record: float
    sqlite: StoreBytes
    postgresql: StoreBytes


class Load(Value, frozen=True, kw_only=True):
    """What is to be measured. `segments` and `accounts` are alive in five minutes and in a day.

    Each of the `judges` is reckoned to be asked about every sample; stop rules and the cache spare some.
    """

    requests_per_day: float
    rate: float
    peak: float
    record_bytes: float
    segments: int
    accounts: int
    judges: int
    judge_seconds: float
    tokens_in: float
    tokens_out: float
    retention_days: int


class Own(Value, frozen=True):
    """What a store says of its own job; None where there is not enough of it."""

    records_per_core_second: float | None = None
    tokens_in: float | None = None
    tokens_out: float | None = None


def shipped() -> Coefficients:
    text = importlib.resources.files("tidegauge.service").joinpath(DATA).read_bytes()
    return msgspec.json.decode(text, type=Coefficients)


def own(tx: Transaction) -> Own:
    """Measured by the job itself: records while a worker was at a block, tokens of its judges' calls."""
    block = histograms(tx)["block"]
    asked = tx.rows("asked_evaluators")
    calls = sum(int(row["calls"]) for row in asked)
    enough, talks = block.units >= FEWEST_RECORDS and block.seconds > 0, calls >= FEWEST_CALLS
    tokens = [sum(int(row[name]) for row in asked) for name in ("input_tokens", "output_tokens")]
    return Own(
        block.units / block.seconds if enough else None,
        tokens[0] / calls if talks else None,
        tokens[1] / calls if talks else None,
    )


def needs(load: Load, known: Coefficients, nano_per_token: tuple[float, float]) -> dict[str, Any]:
    """Workers are processes of one core each. Money is None where a price is unknown, and where no judge is asked.

    `nano_per_token`, in and out, is the sum over the judges.
    """
    a_second = load.requests_per_day / DAY_SECONDS * load.peak
    samples = load.requests_per_day * load.rate
    calls = samples * load.judges
    cores = {
        "scan": a_second / known.records_per_core_second,
        "samples": a_second * load.rate / known.samples_per_core_second,
        "judge": a_second * load.rate * load.judges / known.judged_per_core_second,
    }
    workers = max(1, math.ceil(sum(cores.values()) / USED))
    usd = (load.tokens_in * nano_per_token[0] + load.tokens_out * nano_per_token[1]) * samples / 1e9
    return {
        "requests_per_second": {"mean": load.requests_per_day / DAY_SECONDS, "peak": a_second},
        "log_bytes_per_day": load.requests_per_day * load.record_bytes,
        "cores": cores,
        "workers": workers,
        "flink_parallelism": workers,
        "kafka_partitions": max(3, math.ceil(a_second * load.record_bytes / PARTITION_BYTES)),
        "samples_per_day": samples,
        "judge": {
            "calls_per_day": calls,
            "calls_per_second_at_peak": calls / DAY_SECONDS * load.peak,
            "concurrency": math.ceil(calls / DAY_SECONDS * load.peak * load.judge_seconds),
            "usd_per_day": None if not load.judges or math.isnan(usd) else usd,
        },
        "store": {name: _growth(load, getattr(known, name)) for name in ("sqlite", "postgresql")},
    }


def _growth(load: Load, size: StoreBytes) -> dict[str, float]:
    """Bytes; rollups have a row for what is alive, and never more than one a request."""
    rows = min(288.0 * load.segments, load.requests_per_day) + min(float(load.accounts), load.requests_per_day)
    samples = load.requests_per_day * load.rate * size.sample
    rollups = rows * size.rollup_row
    return {
        "samples_per_day": samples,
        "rollups_per_day": rollups,
        "per_day": samples + rollups,
        "retained": (samples + rollups) * load.retention_days,
    }
