"""`tidegauge capacity`."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tidegauge import show
from tidegauge.commands.context import Context, print_json
from tidegauge.errors import TidegaugeError, UsageError

if TYPE_CHECKING:
    from tidegauge.config import Config
    from tidegauge.service.capacity import Coefficients, Load, Own

_TOKENS_IN, _TOKENS_OUT = 1_500.0, 150.0
_ABOVE_ZERO = ("requests_per_day", "peak", "record_bytes", "judge_seconds", "segments", "accounts", "retention_days")


def run(context: Context) -> int:
    from evaluators.endpoint import asked_judges
    from tidegauge.service import capacity

    config = context.config_if_any()
    known, mine = capacity.shipped(), _own(context, config)
    if mine.records_per_core_second:
        known = msgspec.structs.replace(known, records_per_core_second=mine.records_per_core_second)
    models = [judge.model for judge in asked_judges(config)]
    load = _load(context, config, known, mine, len(models))
    prices = _prices(context, config, models)
    found = capacity.needs(load, known, (sum(price[0] for price in prices), sum(price[1] for price in prices)))
    found |= {"load": msgspec.to_builtins(load), "coefficients": msgspec.to_builtins(known), "sources": _sources(mine)}
    unpriced = [model for model, price in zip(models, prices, strict=True) if math.isnan(price[0])]
    found["judge"] |= {"models": models, "unpriced": unpriced}
    if context.args.json:
        print_json(found)
    else:
        print(text(found))
    return 0


def _own(context: Context, config: "Config") -> "Own":
    """The store's figures, where there is a store already; it is not made for this. One that is named must be there."""
    from tidegauge.config_load import sqlite_file
    from tidegauge.service.capacity import Own, own
    from tidegauge.storage.migrations import migrate
    from tidegauge.storage.store import Store

    if context.args.store:
        with context.existing_store() as named, named.read() as tx:
            return own(tx)
    file = sqlite_file(config.store.url)
    if file is not None and not file.exists():
        return Own()
    store = Store(config.store.url, config.store, "capacity")
    try:
        migrate(store)
        with store.read() as tx:
            return own(tx)
    except TidegaugeError:
        return Own()
    finally:
        store.close()


def _load(context: Context, config: "Config", known: "Coefficients", mine: "Own", judges: int) -> "Load":
    from tidegauge.service.capacity import Load

    args = context.args
    rate = config.sampling.rate if args.rate is None else args.rate
    if not 0 <= rate <= 1:
        raise UsageError(f"--rate {rate:g}: a share of the requests, between 0 and 1")
    for name in _ABOVE_ZERO:
        value = getattr(args, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UsageError(f"--{name.replace('_', '-')} {value}: more than 0 is needed")
    for name in ("tokens_in", "tokens_out"):
        value = getattr(args, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UsageError(f"--{name.replace('_', '-')} {value}: 0 or more is needed")
    return Load(
        requests_per_day=args.requests_per_day,
        rate=rate,
        peak=args.peak,
        record_bytes=args.record_bytes or known.bytes_per_record,
        segments=args.segments,
        accounts=args.accounts,
        judges=judges,
        judge_seconds=args.judge_seconds,
        tokens_in=_first(args.tokens_in, mine.tokens_in, _TOKENS_IN),
        tokens_out=_first(args.tokens_out, mine.tokens_out, _TOKENS_OUT),
        retention_days=args.retention_days,
    )


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _prices(context: Context, config: "Config", models: Sequence[str]) -> list[tuple[float, float]]:
    """Nano-dollars for a token in and out, by model; not a number where one has no known price."""
    from tidegauge.prices import Prices

    prices, today = Prices(config.prices), datetime.fromtimestamp(context.clock.now() / 1e6, UTC).date()
    return [prices.per_token(model, "", today) for model in models]


def _sources(mine: "Own") -> dict[str, str]:
    return {
        "scan": "this store's own job" if mine.records_per_core_second else "shipped",
        "tokens": "this store's own judge" if mine.tokens_in is not None else "assumed or given",
    }


def text(found: Mapping[str, Any]) -> str:
    load, known, store = found["load"], found["coefficients"], found["store"]
    second, cores = found["requests_per_second"], found["cores"]
    rows = [
        ("requests", f"{second['mean']:,.0f}/s, {second['peak']:,.0f}/s at the peak of {load['peak']:g} times"),
        ("log", f"{_bytes(found['log_bytes_per_day'])} a day at {load['record_bytes']:,.0f} bytes a line"),
        (
            "workers",
            f"{found['workers']} of one core: scan {cores['scan']:.2f}, samples {cores['samples']:.2f},"
            f" judge {cores['judge']:.2f} cores at the peak, 60 % used",
        ),
        ("Flink", f"parallelism {found['flink_parallelism']}"),
        ("Kafka", f"{found['kafka_partitions']} partitions, of 10 MB/s each"),
        ("samples", f"{found['samples_per_day']:,.0f} a day at a rate of {load['rate']:g}"),
        ("judge", _judge(found)),
        *((name, _store(growth, load["retention_days"])) for name, growth in store.items()),
    ]
    origin = f"measured on {known['measured']} ({known['machine']}) by benchmarks/capacity.py"
    scan = f"; records per core by {found['sources']['scan']}" if found["sources"]["scan"] != "shipped" else ""
    return show.table(("what", "how much"), rows) + f"\n\nCoefficients: {origin}{scan}. See docs/scale.md"


def _judge(found: Mapping[str, Any]) -> str:
    judge, load = found["judge"], found["load"]
    if not load["judges"]:
        return "none is configured: judge.base_url in tidegauge.yaml turns one on"
    money = (
        f"cost unknown: nobody has a price for {', '.join(dict.fromkeys(judge['unpriced']))}; prices in tidegauge.yaml"
        if judge["unpriced"]
        else f"{judge['usd_per_day']:,.2f} USD a day"
    )
    return (
        f"{judge['calls_per_day']:,.0f} calls a day, {judge['concurrency']} at once at the peak of"
        f" {load['judge_seconds']:g} s each; {load['tokens_in']:,.0f} + {load['tokens_out']:,.0f} tokens a call,"
        f" {money}"
    )


def _store(growth: Mapping[str, float], days: int) -> str:
    return (
        f"{_bytes(growth['per_day'])} a day: samples {_bytes(growth['samples_per_day'])},"
        f" rollups {_bytes(growth['rollups_per_day'])}; {_bytes(growth['retained'])} in {days} days"
    )


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} PB"
