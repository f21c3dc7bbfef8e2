"""Documents back into YAML, and objectives that were given elsewhere as documents."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

from tidegauge.openslo.documents import (
    PREFIX,
    AnyDocument,
    InlineSli,
    Metadata,
    Metric,
    MetricSource,
    ObjectiveItem,
    RatioMetric,
    SliSpec,
    SloDocument,
    SloSpec,
    TimeWindow,
)
from tidegauge.openslo.objectives import Slo


def dump(documents: Sequence[AnyDocument]) -> str:
    """As YAML that reads back as the same documents."""
    return str(yaml.safe_dump_all([_ordered(d) for d in documents], sort_keys=False, explicit_start=True, width=10**6))


def _ordered(document: AnyDocument) -> dict[str, Any]:
    data = msgspec.to_builtins(document)
    return {"apiVersion": data["apiVersion"], "kind": data["kind"], **data}


def documents_of(slos: Sequence[Slo]) -> list[SloDocument]:
    """Objectives that no file gives, as documents: rolling windows, with the default burn levels."""
    return [_document(slo) for slo in slos]


def _document(slo: Slo) -> SloDocument:
    annotations = {PREFIX + "intent": slo.intent, PREFIX + "risk": slo.risk}
    if slo.owner is not None:
        annotations[PREFIX + "owner"] = slo.owner
    spec: dict[str, Any] = {"indicator": slo.indicator}
    bad = Metric(metric_source=MetricSource(type="tidegauge", spec=spec))
    total = Metric(metric_source=MetricSource(type="tidegauge", spec={}))
    return SloDocument(
        api_version="openslo/v1",
        metadata=Metadata(name=slo.name, annotations=annotations),
        spec=SloSpec(
            service=slo.service,
            indicator=InlineSli(
                metadata=Metadata(name=slug(slo.indicator)),
                spec=SliSpec(ratio_metric=RatioMetric(counter=True, bad=bad, total=total)),
            ),
            time_window=(TimeWindow(duration=f"{slo.window.count}{slo.window.unit}", is_rolling=True),),
            budgeting_method="Occurrences",
            objectives=(ObjectiveItem(target=round(1 - slo.allowed, 12)),),
        ),
    )


def slug(text: str) -> str:
    """A name that every implementation of OpenSLO takes."""
    found = re.sub(r"[^a-z0-9]+", "-", text.lower().replace("*", "default")).strip("-")
    return found[:63].strip("-") or "default"
