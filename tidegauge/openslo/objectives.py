"""What documents mean for Tidegauge: an objective per indicator and intent, its window and its burn levels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidegauge.domain import HALLUCINATION, Value
from tidegauge.openslo.documents import (
    PREFIX,
    ConditionDocument,
    ConditionSpec,
    NotifyDocument,
    ObjectiveItem,
    PolicyDocument,
    PolicyItem,
    PolicySpec,
    ServiceDocument,
    SliDocument,
    SliSpec,
    SloDocument,
    TimeWindow,
)
from tidegauge.openslo.read import Path_, Placed, shown
from tidegauge.spelling import did_you_mean, nearest

COUNTED = ("fallback_share", "task_success", "error_rate", "latency")
"""Indicators that the rollups count over all requests."""

JUDGED = ("refusal", "answer_relevance", "context_sufficiency")
"""Indicators that need an evaluator of their own, which is not there yet: shown as unknown."""

INDICATORS = (HALLUCINATION, *COUNTED, *JUDGED)

RISKS = {"normal": 1.0, "high": 0.03}
"""Highest hallucination rate that an objective of a risk class may allow."""

_ANNOTATIONS = ("intent", "risk", "owner", "indicator")
_ROLLING = "dw"
_CALENDAR = "dwMQY"
_START = "%Y-%m-%d %H:%M:%S"


class Window(Value, frozen=True, kw_only=True):
    """The time that a budget is for: rolling, or periods that begin at `start` in a time zone."""

    count: int = 28
    unit: str = "d"
    rolling: bool = True
    start: str = ""
    zone: str = "UTC"

    @property
    def days(self) -> float:
        return self.count * {"d": 1, "w": 7, "M": 30.4375, "Q": 91.3125, "Y": 365.25}[self.unit]

    @property
    def text(self) -> str:
        return f"{self.count}{self.unit}" + ("" if self.rolling else f" from {self.start} {self.zone}")


class Level(Value, frozen=True, kw_only=True):
    """A burn rate that opens a ticket: so many times the objective, over a look-back of so many hours."""

    burn: float
    hours: float = 24.0
    severity: str = "ticket"


LEVELS = (Level(burn=2, hours=72), Level(burn=5, hours=24))


class Slo(Value, frozen=True, kw_only=True):
    """An objective as it is used."""

    name: str
    service: str = ""
    indicator: str = HALLUCINATION
    intent: str
    allowed: float
    """The share of bad answers that is still good enough: 1 - target."""
    threshold_ms: float | None = None
    risk: str = "normal"
    owner: str | None = None
    window: Window = Window()
    levels: tuple[Level, ...] = LEVELS
    notify: tuple[str, ...] = ()
    """Names of notification targets."""
    place: str = ""


@dataclass
class _Known:
    """Documents by kind and name, and the problems found."""

    documents: dict[tuple[type, str], Placed] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def spec(self, kind: type, name: str, at: Placed, path: Path_) -> Any:
        """The specification of a document by name; None, and a problem, where there is none."""
        found = self.documents.get((kind, name))
        if found is not None:
            return getattr(found.document, "spec")  # noqa: B009 - every kind has one
        names = [known for of, known in self.documents if of is kind]
        self.wrong(at, path, f"nothing is called {name[:60]}{did_you_mean(name, names)}")
        return None

    def wrong(self, at: Placed, path: Path_, problem: str) -> None:
        self.problems.append(f"{at.at(*path)}: {shown(path)}{problem}")


def resolve(placed: Sequence[Placed]) -> tuple[list[Slo], list[str]]:
    """The objectives that documents name, in their order, and everything that is wrong with them."""
    known = _Known()
    for one in placed:
        _register(known, one)
        _check_annotations(known, one)
        _check_notify(known, one)
    found: list[Slo] = []
    for one in placed:
        if isinstance(one.document, SloDocument):
            before = len(known.problems)
            slo = _slo(known, one, one.document)
            if slo is not None and len(known.problems) == before:
                found.append(slo)
    used: dict[tuple[str, str], Slo] = {}
    for slo in found:
        first = used.setdefault((slo.indicator, slo.intent), slo)
        if first is not slo:
            known.problems.append(
                f"{slo.place}: {slo.indicator} of {slo.intent} has an objective already, at {first.place}"
            )
    return found, known.problems


def _register(known: _Known, one: Placed) -> None:
    key = (type(one.document), one.document.metadata.name)
    first = known.documents.setdefault(key, one)
    if first is not one:
        known.wrong(one, ("metadata", "name"), f"{key[1]} is defined already, at {first.at('metadata', 'name')}")


def _check_annotations(known: _Known, one: Placed) -> None:
    for name in one.document.metadata.annotations:
        short = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and short not in _ANNOTATIONS:
            near = nearest(short, _ANNOTATIONS)
            hint = f"; did you mean {PREFIX}{near}?" if near else ""
            known.wrong(one, ("metadata", "annotations", name), f"allowed: {', '.join(_ANNOTATIONS)}{hint}")


def _check_notify(known: _Known, one: Placed) -> None:
    if isinstance(one.document, NotifyDocument) and "://" in one.document.spec.target:
        known.wrong(one, ("spec", "target"), "a contact URL is a secret; name an owner, whose contacts_env names it")


def _slo(known: _Known, at: Placed, document: SloDocument) -> Slo | None:
    spec, metadata = document.spec, document.metadata
    if spec.budgeting_method != "Occurrences":
        known.wrong(at, ("spec", "budgetingMethod"), "only Occurrences is measured")
    if len(spec.objectives) > 1:
        known.wrong(at, ("spec", "objectives", 1), "one objective an SLO; write another SLO")
    services = [name for kind, name in known.documents if kind is ServiceDocument]
    if services and spec.service not in services:
        known.spec(ServiceDocument, spec.service, at, ("spec", "service"))
    risk = metadata.ours("risk") or "normal"
    if risk not in RISKS:
        known.wrong(at, ("metadata", "annotations", PREFIX + "risk"), f"expected one of {', '.join(sorted(RISKS))}")
    before = len(known.problems)
    sli, sli_says = _sli(known, at, document)
    unclear = len(known.problems) > before
    indicator = metadata.ours("indicator") or sli_says or _named_by_source(sli)
    intent = metadata.ours("intent")
    if intent is None or not intent.strip():
        known.wrong(at, ("metadata", "annotations"), f'{PREFIX}intent is missing: an intent of the log, or "*" for all')
    if indicator is None and unclear:
        return None
    if indicator not in INDICATORS:
        known.wrong(at, ("spec", "indicator"), _unknown_indicator(indicator))
        return None
    allowed, threshold = _allowed(known, at, spec.objectives[0], indicator, risk)
    levels, notify = _alerts(known, at, document)
    return Slo(
        name=metadata.name,
        service=spec.service,
        indicator=str(indicator),
        intent=intent or "",
        allowed=allowed,
        threshold_ms=threshold if threshold is not None else _milliseconds(known, at, sli, indicator),
        risk=risk,
        owner=metadata.ours("owner"),
        window=_window(known, at, spec.time_window),
        levels=levels or LEVELS,
        notify=notify,
        place=at.at("metadata", "name"),
    )


def _unknown_indicator(indicator: str | None) -> str:
    if indicator is None:
        return f"no indicator is named; give {PREFIX}indicator or metricSource.spec.indicator: {', '.join(INDICATORS)}"
    hint = did_you_mean(indicator, INDICATORS)
    return f"unknown indicator {indicator[:60]}; allowed: {', '.join(INDICATORS)}{hint}"


def _sli(known: _Known, at: Placed, document: SloDocument) -> tuple[SliSpec | None, str | None]:
    """The SLI in place or by name, and the indicator that its annotations name."""
    spec = document.spec
    if (spec.indicator is None) == (spec.indicator_ref is None):
        if spec.indicator is not None or document.metadata.ours("indicator") is None:
            known.wrong(at, ("spec",), "give one of indicator and indicatorRef")
        return None, None
    if spec.indicator is not None:
        return spec.indicator.spec, spec.indicator.metadata.ours("indicator")
    found: SliSpec | None = known.spec(SliDocument, str(spec.indicator_ref), at, ("spec", "indicatorRef"))
    if found is None:
        return None, None
    placed = known.documents[SliDocument, str(spec.indicator_ref)]
    return found, placed.document.metadata.ours("indicator")


def _named_by_source(sli: SliSpec | None) -> str | None:
    for metric in sli.metrics() if sli else ():
        name = metric.metric_source.spec.get("indicator")
        if isinstance(name, str):
            return name
    return None


def _allowed(
    known: _Known, at: Placed, item: ObjectiveItem, indicator: str | None, risk: str
) -> tuple[float, float | None]:
    """The share of bad answers that is allowed, and the threshold of the objective, if any."""
    path: Path_ = ("spec", "objectives", 0)
    if (item.target is None) == (item.target_percent is None):
        known.wrong(at, path, "give one of target and targetPercent")
        return 1.0, None
    target = item.target if item.target is not None else float(item.target_percent or 0) / 100
    name = "target" if item.target is not None else "targetPercent"
    allowed = round(1 - target, 12)
    if allowed >= 1:
        known.wrong(at, (*path, name), "nothing would ever be bad; expected a target above 0")
    elif allowed <= 0:
        known.wrong(at, (*path, name), "nothing could be bad; expected a target below 1")
    elif indicator == HALLUCINATION and allowed > RISKS.get(risk, 1.0):
        most = 100 * RISKS[risk]
        known.wrong(at, (*path, name), f"risk {risk} allows at most {most:g} % bad answers, this {100 * allowed:g} %")
    if item.op in ("gt", "gte"):
        known.wrong(at, (*path, "op"), "expected lte or lt: a request is good up to the value")
    return allowed, item.value


def _milliseconds(known: _Known, at: Placed, sli: SliSpec | None, indicator: str | None) -> float | None:
    if indicator != "latency":
        return None
    for metric in sli.metrics() if sli else ():
        value = metric.metric_source.spec.get("thresholdMs")
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return float(value)
    known.wrong(at, ("spec", "objectives", 0), "latency needs a threshold: objectives[0].value, in milliseconds")
    return None


def _window(known: _Known, at: Placed, windows: Sequence[TimeWindow]) -> Window:
    if not windows:
        return Window()
    one, path = windows[0], ("spec", "timeWindow", 0)
    count, unit = int(one.duration[:-1]), one.duration[-1]
    rolling = one.calendar is None if one.is_rolling is None else one.is_rolling
    if unit not in (_ROLLING if rolling else _CALENDAR):
        allowed = "days and weeks, such as 28d" if rolling else "d, w, M, Q or Y, such as 1M"
        known.wrong(at, (*path, "duration"), f"expected {allowed}")
        return Window()
    if rolling:
        if one.calendar is not None:
            known.wrong(at, (*path, "calendar"), "a rolling window has no calendar")
        return Window(count=count, unit=unit)
    if one.calendar is None:
        known.wrong(at, path, "a window that does not roll needs a calendar")
        return Window()
    start, zone = one.calendar.start_time, one.calendar.time_zone
    try:
        datetime.strptime(start, _START)  # noqa: DTZ007 - its time zone stands beside it
        ZoneInfo(zone)
    except ValueError:
        known.wrong(at, (*path, "calendar", "startTime"), "expected a time such as 2026-01-01 00:00:00")
    except (ZoneInfoNotFoundError, OSError):
        known.wrong(at, (*path, "calendar", "timeZone"), "expected a name of the IANA database, such as Europe/Berlin")
    return Window(count=count, unit=unit, rolling=False, start=start, zone=zone)


def _alerts(known: _Known, at: Placed, document: SloDocument) -> tuple[tuple[Level, ...], tuple[str, ...]]:
    levels: dict[float, Level] = {}
    notify: dict[str, None] = {}
    for place, item in enumerate(document.spec.alert_policies):
        path: Path_ = ("spec", "alertPolicies", place)
        policy = _policy(known, at, item, path)
        if policy is None:
            continue
        for condition in _conditions(known, at, policy, path):
            burn = condition.condition
            hours = _hours(burn.lookback_window)
            levels[burn.threshold] = Level(burn=burn.threshold, hours=hours, severity=condition.severity)
        for target in policy.notification_targets:
            name = target.target_ref or (target.metadata.name if target.metadata else None)
            if target.target_ref is not None:
                known.spec(NotifyDocument, target.target_ref, at, path)
            if name is not None:
                notify[name] = None
    return tuple(levels[burn] for burn in sorted(levels)), tuple(notify)


def _policy(known: _Known, at: Placed, item: str | PolicyItem, path: Path_) -> PolicySpec | None:
    name = item if isinstance(item, str) else item.alert_policy_ref
    if name is not None:
        found: PolicySpec | None = known.spec(PolicyDocument, name, at, path)
        return found
    assert isinstance(item, PolicyItem)
    if item.spec is None:
        known.wrong(at, path, "give alertPolicyRef, or spec")
    return item.spec


def _conditions(known: _Known, at: Placed, policy: PolicySpec, path: Path_) -> Iterator[ConditionSpec]:
    for item in policy.conditions:
        spec = item.spec
        if item.condition_ref is not None:
            spec = known.spec(ConditionDocument, item.condition_ref, at, path)
        elif spec is None:
            known.wrong(at, path, "its condition has neither conditionRef nor spec")
        if spec is not None:
            yield spec


def _hours(duration: str) -> float:
    units: Mapping[str, float] = {"m": 1 / 60, "h": 1, "d": 24, "w": 168, "M": 730.5, "Q": 2191.5, "Y": 8766}
    return int(duration[:-1]) * units[duration[-1]]
