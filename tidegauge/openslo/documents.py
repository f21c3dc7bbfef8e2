"""The documents of OpenSLO v1 as frozen values; their fields are the specification's."""

from typing import Annotated, Any, Literal

import msgspec

PREFIX = "tidegauge.dev/"
"""Of our annotations."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._|/\\-]{0,252}$")]
Description = Annotated[str, msgspec.Meta(max_length=1050)]
Duration = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,4}[mhdwMQY]$")]
Wait = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,4})[mhdwMQY]$")]
Target = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Percent = Annotated[float, msgspec.Meta(ge=0, lt=100)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel", kw_only=True):
    """Base of everything; an unknown field is an error."""


class Metadata(Part, frozen=True, kw_only=True):
    name: Name
    display_name: str | None = None
    labels: dict[str, str | list[str]] = {}
    annotations: dict[str, str] = {}

    def ours(self, name: str) -> str | None:
        """One of our annotations."""
        return self.annotations.get(PREFIX + name)


class Document(Part, frozen=True, kw_only=True, tag_field="kind"):
    api_version: Literal["openslo/v1"]
    metadata: Metadata


class MetricSource(Part, frozen=True, kw_only=True):
    metric_source_ref: str | None = None
    type: str | None = None
    spec: dict[str, Any] = {}


class Metric(Part, frozen=True, kw_only=True):
    metric_source: MetricSource


class RatioMetric(Part, frozen=True, kw_only=True):
    counter: bool | None = None
    good: Metric | None = None
    bad: Metric | None = None
    total: Metric | None = None
    raw_type: Literal["success", "failure"] | None = None
    raw: Metric | None = None


class SliSpec(Part, frozen=True, kw_only=True):
    description: Description | None = None
    threshold_metric: Metric | None = None
    ratio_metric: RatioMetric | None = None

    def metrics(self) -> tuple[Metric, ...]:
        ratio = self.ratio_metric
        found = (ratio.bad, ratio.good, ratio.raw, ratio.total) if ratio else (self.threshold_metric,)
        return tuple(metric for metric in found if metric is not None)


class InlineSli(Part, frozen=True, kw_only=True):
    metadata: Metadata
    spec: SliSpec
    kind: Literal["SLI"] | None = None


class SliDocument(Document, frozen=True, kw_only=True, tag="SLI"):
    spec: SliSpec


class Calendar(Part, frozen=True, kw_only=True):
    start_time: str
    time_zone: str


class TimeWindow(Part, frozen=True, kw_only=True):
    duration: Duration
    is_rolling: bool | None = None
    calendar: Calendar | None = None


class ObjectiveItem(Part, frozen=True, kw_only=True):
    display_name: str | None = None
    op: Literal["lte", "gte", "lt", "gt"] | None = None
    value: float | None = None
    target: Target | None = None
    target_percent: Percent | None = None
    time_slice_target: float | None = None
    time_slice_window: float | str | None = None


class Burn(Part, frozen=True, kw_only=True):
    kind: Literal["burnrate"] = "burnrate"
    op: Literal["lte", "gte", "lt", "gt"] | None = None
    threshold: Positive
    lookback_window: Duration
    alert_after: Wait = "0m"


class ConditionSpec(Part, frozen=True, kw_only=True):
    description: Description | None = None
    severity: str
    condition: Burn


class ConditionDocument(Document, frozen=True, kw_only=True, tag="AlertCondition"):
    spec: ConditionSpec


class ConditionItem(Part, frozen=True, kw_only=True):
    """A condition by name or in place."""

    condition_ref: str | None = None
    kind: Literal["AlertCondition"] | None = None
    metadata: Metadata | None = None
    spec: ConditionSpec | None = None


class NotifySpec(Part, frozen=True, kw_only=True):
    target: str
    description: Description | None = None


class NotifyDocument(Document, frozen=True, kw_only=True, tag="AlertNotificationTarget"):
    spec: NotifySpec


class NotifyItem(Part, frozen=True, kw_only=True):
    """A notification target by name or in place."""

    target_ref: str | None = None
    kind: Literal["AlertNotificationTarget"] | None = None
    metadata: Metadata | None = None
    spec: NotifySpec | None = None


class PolicySpec(Part, frozen=True, kw_only=True):
    description: Description | None = None
    alert_when_no_data: bool | None = None
    alert_when_resolved: bool | None = None
    alert_when_breaching: bool | None = None
    conditions: Annotated[tuple[ConditionItem, ...], msgspec.Meta(min_length=1, max_length=1)]
    notification_targets: tuple[NotifyItem, ...] = ()


class PolicyDocument(Document, frozen=True, kw_only=True, tag="AlertPolicy"):
    spec: PolicySpec


class PolicyItem(Part, frozen=True, kw_only=True):
    """An alert policy by name or in place."""

    alert_policy_ref: str | None = None
    kind: Literal["AlertPolicy"] | None = None
    metadata: Metadata | None = None
    spec: PolicySpec | None = None


class SloSpec(Part, frozen=True, kw_only=True):
    description: Description | None = None
    service: str
    indicator: InlineSli | None = None
    indicator_ref: str | None = None
    time_window: Annotated[tuple[TimeWindow, ...], msgspec.Meta(max_length=1)] = ()
    budgeting_method: Literal["Occurrences", "Timeslices", "RatioTimeslices"]
    objectives: Annotated[tuple[ObjectiveItem, ...], msgspec.Meta(min_length=1)]
    alert_policies: tuple[str | PolicyItem, ...] = ()


class SloDocument(Document, frozen=True, kw_only=True, tag="SLO"):
    spec: SloSpec


class ServiceSpec(Part, frozen=True, kw_only=True):
    description: Description | None = None


class ServiceDocument(Document, frozen=True, kw_only=True, tag="Service"):
    spec: ServiceSpec = ServiceSpec()


AnyDocument = SloDocument | SliDocument | PolicyDocument | ConditionDocument | NotifyDocument | ServiceDocument
