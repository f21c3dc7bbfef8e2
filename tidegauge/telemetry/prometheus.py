"""The store's figures as Prometheus text. Labels are intents, deployments and names of states; never a request.

Series of objectives have sloth's names and labels, see https://sloth.dev: its dashboards read them as they are.
"""

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tidegauge.domain import DAY, Micros, SloState, iso
from tidegauge.openslo import Slo, slug
from tidegauge.service.budgets import Measured, measured
from tidegauge.service.burning import Objectives
from tidegauge.service.report import slo_rows
from tidegauge.storage.status import status
from tidegauge.storage.store import Row, Store, Transaction
from tidegauge.telemetry.flow_metrics import flow_metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHOWN_DAYS = 28
"""Deployments without traffic for longer are no series any more."""

_DEPLOYMENT = ("indicator", "intent", "deployment", "model_version", "prompt_version", "retrieval_index")
_SLOTH = ("sloth_id", "sloth_service", "sloth_slo", "indicator", "intent")
_HOURS = {1: "1h", 2: "2h", 6: "6h", 24: "1d", 72: "3d"}
_MINUTES = {5: "5m", 30: "30m"}


def metrics_text(store: Store, wanted: Objectives, now: Micros) -> bytes:
    """Everything, in Prometheus' text format."""
    with store.read() as tx:
        found = [*_job(tx, now), *flow_metrics(tx, now), *_rates(tx, wanted), *_objectives(tx, wanted), *_findings(tx)]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(found))
    return generate_latest(registry)


class _Found:
    """Hands metrics to the client library."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found

    def describe(self) -> Iterable[Metric]:
        return []


def _gauge(name: str, text: str, labels: Iterable[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=list(labels))


def _job(tx: Transaction, now: Micros) -> Iterator[Metric]:
    """What `tidegauge status` counts."""
    state = status(tx, now)
    for name, text in (
        ("seen", "Requests read"),
        ("sampled", "Requests chosen for judging"),
        ("judged", "Samples with a verdict"),
        ("unscored", "Samples that no evaluator could score"),
        ("repeats", "Deliveries of a request that was sampled already"),
    ):
        family = CounterMetricFamily(f"tidegauge_{name}", text, labels=["intent"])
        for intent, counts in state["per_intent"].items():
            family.add_metric([intent], counts[name])
        yield family
    yield CounterMetricFamily("tidegauge_quarantined", "Records that were refused", value=state["quarantined"])
    yield CounterMetricFamily(
        "tidegauge_shed", "Samples that waited too long for a judge and go without", value=state["evaluation"]["shed"]
    )
    yield _one("tidegauge_pending", "Samples that wait for a verdict", state["pending"])
    yield _one("tidegauge_lag_seconds", "Age of the oldest planned block", state["lag_seconds"])
    yield _by("tidegauge_blocks", "Blocks by state", "state", state["blocks"])
    cases = _gauge("tidegauge_review_cases", "Cases for reviewers by state", ("intent", "state"))
    for intent, counts in state["per_intent"].items():
        for name, number in counts["review"].items():
            cases.add_metric([intent, name], number)
    yield cases


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _by(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = _gauge(name, text, (label,))
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _rates(tx: Transaction, wanted: Objectives) -> Iterator[Metric]:
    """What `tidegauge slo` shows. An unknown rate has no sample: it is never 0."""
    newest = int(tx.value("newest_traffic") or 0)
    rows = [r for r in slo_rows(tx, {}, wanted.slo_of) if r["as_of"] >= iso(max(newest - SHOWN_DAYS * DAY, 0))]
    for name, key, text in (
        ("tidegauge_rate", "rate", "Share of bad answers, corrected by labels"),
        ("tidegauge_rate_low", "low", "Lower 95 % limit of the rate"),
        ("tidegauge_rate_high", "high", "Upper 95 % limit of the rate"),
        ("tidegauge_log_evidence", "log_e", "Natural logarithm of the evidence against the objective"),
        ("tidegauge_rate_judged", "judged", "Judged answers that the rate rests on"),
        ("tidegauge_rate_labelled", "labelled", "Labelled answers that the rate rests on"),
    ):
        family = _gauge(name, text, _DEPLOYMENT)
        for row in rows:
            if row[key] is not None:
                family.add_metric(_of_deployment(row), row[key])
        yield family
    states = _gauge("tidegauge_state", "1 for the state that it is in", (*_DEPLOYMENT, "state"))
    for row in rows:
        for state in SloState:
            states.add_metric([*_of_deployment(row), state.value], float(row["state"] == state))
    yield states


def _of_deployment(row: Row) -> list[str]:
    of = row["deployment"]
    names = ("id", "model_version", "prompt_version", "retrieval_index")
    return [row["indicator"], row["intent"], *(of[name] for name in names)]


def _objectives(tx: Transaction, wanted: Objectives) -> Iterator[Metric]:
    found = measured(tx, wanted)
    yield from _sloth(found)
    yield from _budgets(found)
    rates: dict[str, GaugeMetricFamily] = {}
    for one in found:
        for window, rate in _windows(one):
            name = f"slo:sli_error:ratio_rate{window}"
            text = f"Share of bad answers over {window}"
            family = rates.setdefault(name, _gauge(name, text, (*_SLOTH, "sloth_window")))
            family.add_metric([*_ids(one.slo), window], rate)
    yield from rates.values()


def _windows(one: Measured) -> Iterator[tuple[str, float]]:
    """Rates that are known, by the name of their look-back."""
    yield from ((_MINUTES[length], rate) for length, rate in one.minutes.items())
    yield from ((_HOURS[length], rate) for length, rate in one.budget.recent.items())
    if one.budget.rate.est is not None:
        yield period_name(one.slo), one.budget.rate.est


def period_name(slo: Slo) -> str:
    """The objective's window as Prometheus writes durations."""
    days = round(slo.window.days)
    return f"{days // 7}w" if days % 7 == 0 else f"{days}d"


def _sloth(found: list[Measured]) -> Iterator[Metric]:
    objective = _gauge("slo:objective:ratio", "Share of answers that are to be good", _SLOTH)
    allowed = _gauge("slo:error_budget:ratio", "Share of answers that may be bad", _SLOTH)
    period = _gauge("slo:time_period:days", "Length of the window", _SLOTH)
    current = _gauge("slo:current_burn_rate:ratio", "Shortest known look-back against the objective", _SLOTH)
    whole = _gauge("slo:period_burn_rate:ratio", "The window so far against the objective", _SLOTH)
    left = _gauge("slo:period_error_budget_remaining:ratio", "Share of the error budget that is left", _SLOTH)
    names = ("sloth_version", "sloth_mode", "sloth_spec", "sloth_objective")
    about = _gauge("sloth_slo_info", "What an objective is", (*_SLOTH, *names))
    version = importlib.metadata.version("tidegauge")
    for one in found:
        ids, budget = _ids(one.slo), one.budget
        objective.add_metric(ids, 1 - budget.allowed)
        allowed.add_metric(ids, budget.allowed)
        period.add_metric(ids, one.slo.window.days)
        target = f"{100 * (1 - budget.allowed):g}"
        about.add_metric([*ids, f"tidegauge-{version}", "tidegauge", "openslo/v1", target], 1)
        now = next((rate for _, rate in _windows(one)), None)
        if now is not None:
            current.add_metric(ids, now / budget.allowed)
        if budget.rate.est is not None and budget.used.est is not None:
            whole.add_metric(ids, budget.rate.est / budget.allowed)
            left.add_metric(ids, 1 - budget.used.est)
    yield from (objective, allowed, period, current, whole, left, about)


def _ids(slo: Slo) -> list[str]:
    service = slo.service or "tidegauge"
    return [f"{slug(service)}-{slo.name}", service, slo.name, slo.indicator, slo.intent]


def _budgets(found: list[Measured]) -> Iterator[Metric]:
    labels = ("indicator", "intent")
    used = _gauge("tidegauge_budget_used_ratio", "Share of the error budget that is used", labels)
    low = _gauge("tidegauge_budget_used_low_ratio", "Lower 95 % limit of what is used", labels)
    high = _gauge("tidegauge_budget_used_high_ratio", "Upper 95 % limit of what is used", labels)
    days = _gauge("tidegauge_budget_days_left", "Days until the budget is used up, if it will be", labels)
    burning = _gauge("tidegauge_budget_burning", "1 where burning at so many times the objective", (*labels, "burn"))
    for one in found:
        place, budget = [one.budget.indicator, one.budget.intent], one.budget
        for family, value in ((used, budget.used.est), (high, budget.used.hi), (days, budget.days_left)):
            if value is not None:
                family.add_metric(place, value)
        low.add_metric(place, budget.used.lo)
        for level in budget.burning:
            burning.add_metric([*place, f"{level.burn:g}"], float(level.proven))
    yield from (used, low, high, days, burning)


def _findings(tx: Transaction) -> Iterator[Metric]:
    tickets = _gauge("tidegauge_tickets_open", "Open tickets", ("kind", "owner"))
    for row in tx.rows("open_tickets"):
        tickets.add_metric([row["kind"], row["owner"]], row["tickets"])
    incidents = _gauge("tidegauge_incidents", "Incidents by state", ("indicator", "intent", "state"))
    for row in tx.rows("incidents_by_state"):
        incidents.add_metric([row["indicator"], row["intent"], row["state"]], row["incidents"])
    yield tickets
    yield incidents
    yield _by(
        "tidegauge_deliveries",
        "Webhooks by state",
        "state",
        {row["state"]: row["deliveries"] for row in tx.rows("deliveries_by_state")},
    )
    exports: dict[str, Any] = {row["exporter"]: row["failed"] for row in tx.rows("exporters")}
    yield _by("tidegauge_export_failures", "Failed attempts in a row to export verdicts", "exporter", exports)
