"""How the work flows, as Prometheus metrics. Labels are stages, sources and runners: as many as are configured."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from tidegauge.domain import Micros
from tidegauge.storage.flow import BOUNDS, Timing, flow, histograms
from tidegauge.storage.store import Transaction

IN_PROCESS = "in-process"
"""What the runner of `tidegauge run` is called."""

_TIMED = {
    "block": "Reading a block and committing it",
    "commit": "Committing a block",
    "verdicts": "Committing verdicts",
    "tick": "Looking at all sources and planning what is new",
}


def flow_metrics(tx: Transaction, now: Micros) -> Iterator[Metric]:
    """What waits, how fast it goes, who is at it, and how long it takes."""
    found = flow(tx, now)
    yield from _stages(found["stages"])
    yield from _sources(found["sources"])
    speed, judge = found["throughput"], found["judge"]
    for name, value, text in (
        ("records_per_second", speed["records_a_second"], "Records committed in the last minute"),
        ("verdicts_per_second", speed["verdicts_a_second"], "Verdicts written in the last minute"),
        ("judge_calls_per_second", speed["judge_calls_a_second"], "Calls of judges in the last minute"),
        ("judge_in_flight", judge["in_flight"], "Requests that judges have in hand"),
        ("judge_concurrency", judge["at_once"], "Calls that the judges of all workers make at once at most"),
        ("workers", found["workers"], "Processes at work, by their heartbeat"),
    ):
        yield GaugeMetricFamily(f"tidegauge_{name}", text, value=value)
    yield from _ticks(found)
    for kind, timing in histograms(tx).items():
        yield _histogram(kind, timing)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _stages(stages: Mapping[str, Any]) -> Iterator[Metric]:
    yield _gauge(
        "tidegauge_stage_waiting",
        "Blocks to read, samples to judge, tests to decide, webhooks to deliver",
        "stage",
        {name: stage["waiting"] for name, stage in stages.items()},
    )
    yield _gauge(
        "tidegauge_stage_oldest_seconds",
        "Age of the oldest that waits at a stage",
        "stage",
        {name: stage["oldest_seconds"] for name, stage in stages.items()},
    )


def _sources(sources: Mapping[str, Any]) -> Iterator[Metric]:
    for name, key, text in (
        ("source_behind", "behind", "Bytes or offsets that are there and not planned yet"),
        ("source_planned", "planned", "Bytes or offsets that are planned and not read yet"),
        ("source_oldest_seconds", "oldest_seconds", "Age of the oldest planned block that is not read yet"),
    ):
        yield _gauge(f"tidegauge_{name}", text, "source", {source: row[key] for source, row in sources.items()})


def _ticks(found: Mapping[str, Any]) -> Iterator[Metric]:
    looks: dict[str, list[Mapping[str, Any]]] = {IN_PROCESS: [found["run"]] if found["run"] else []}
    workers: dict[str, float] = {}
    for stream in found["streams"]:
        workers[stream["runner"]] = workers.get(stream["runner"], 0) + stream["workers"]
        mine = looks.setdefault(stream["runner"], [])
        if stream["last_tick"]:
            mine.append(stream["last_tick"])
    ticked = {runner: mine for runner, mine in looks.items() if mine}
    for name, key, text in (
        ("tick_age_seconds", "age_seconds", "Since the last look at the sources, of the stream that is silent longest"),
        ("tick_took_seconds", "took_seconds", "How long the last look took"),
    ):
        yield _gauge(f"tidegauge_{name}", text, "runner", {r: max(look[key] for look in m) for r, m in ticked.items()})
    for name, text in (("ticks", "Looks at the sources"), ("tick_errors", "Looks at which a source did not answer")):
        family = CounterMetricFamily(f"tidegauge_{name}", text, labels=["runner"])
        key = name.removeprefix("tick_")
        for runner, mine in ticked.items():
            family.add_metric([runner], sum(look[key] for look in mine))
        yield family
    yield _gauge("tidegauge_stream_workers", "Live workers of streams", "runner", workers)
    failed = [stream["runner"] for stream in found["streams"] if stream["failed"]]
    yield _gauge("tidegauge_streams_failed", "Streams that wait to be submitted again", "runner", Counter(failed))


def _histogram(kind: str, timing: Timing) -> Metric:
    ends = [*(str(bound) for bound in BOUNDS), "+Inf"]
    buckets = list(zip(ends, accumulate(timing.counts), strict=True))
    return HistogramMetricFamily(f"tidegauge_{kind}_seconds", _TIMED[kind], buckets=buckets, sum_value=timing.seconds)
