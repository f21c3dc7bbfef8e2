"""The gate before a rubric's release: it may not agree with people less than the version before it did.

Both versions judge the same cases. The release passes where sensitivity, specificity and kappa are each at least the
lower limit of the older version's 95 % interval. A case without a usable answer counts against the version that had it;
one that the judge could not be asked about says nothing of either, and nothing is released.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evaluators.base import AskingEvaluator
from evaluators.cascade import Cascade, Step
from evaluators.window import JudgeWindow
from tidegauge.domain import EvaluationState, Request, Verdict
from tidegauge.slo.agreement import Agreement, Judged, agreement

MEASURES = ("sensitivity", "specificity", "kappa")


class Gate(NamedTuple):
    """The outcome; `report` is what is stored and shown."""

    passed: bool
    report: dict[str, Any]


def judged(judge: AskingEvaluator, requests: Sequence[Request]) -> dict[str, Verdict]:
    """A judge's verdicts, by request id."""
    with JudgeWindow(Cascade((), [Step(evaluator=judge)])) as window:
        found = []
        for request in requests:
            window.submit(request)
            found += window.finished()
        found += window.drain()
    return {verdict.request_id: verdict for verdict in found}


def asked(verdict: Verdict) -> bool:
    """Whether the judge was asked at all. Where it was away, or its budget was spent, its answer is still to come."""
    return verdict.state is not EvaluationState.PENDING and not verdict.spent


def gate(
    cases: Mapping[str, bool], new: Mapping[str, Verdict], old: Mapping[str, Verdict] | None, names: Mapping[str, str]
) -> Gate:
    """`cases`: truth by request id; `names`: what to call `new`, `old` and the judge in the report."""
    now = _agreement(cases, new)
    report: dict[str, Any] = {**names, "cases": len(cases), "new_agreement": _shown(now, new)}
    if old is None:
        return Gate(True, report | {"passed": True, "reasons": ["there is no older version to compare with"]})
    before = _agreement(cases, old)
    reasons = [
        f"{name} {_value(now, name):.3f} is below {_floor(before, name):.3f}, the lower limit of {names['old']}"
        for name in MEASURES
        if _value(now, name) < _floor(before, name)
    ]
    changed = [
        {"id": name, "hallucinated": truth, "old": _label(old[name]), "new": _label(new[name])}
        for name, truth in cases.items()
        if _label(old[name]) != _label(new[name])
    ]
    report |= {"old_agreement": _shown(before, old), "changed": changed, "passed": not reasons, "reasons": reasons}
    return Gate(not reasons, report)


def _agreement(cases: Mapping[str, bool], verdicts: Mapping[str, Verdict]) -> Agreement:
    return agreement([Judged(_flagged(verdicts[name], truth), truth) for name, truth in cases.items()])


def _flagged(verdict: Verdict, truth: bool) -> bool:
    """An answer that is missing is a wrong one."""
    label = verdict.decisive.label
    return not truth if label is None else label == "hallucinated"


def _label(verdict: Verdict) -> str:
    return verdict.decisive.label or "unscored"


def _value(found: Agreement, name: str) -> float:
    """What nothing is known of passes: the older version has no floor for it either."""
    estimate = getattr(found, name).est
    return 1.0 if estimate is None else estimate


def _floor(found: Agreement, name: str) -> float:
    estimate = getattr(found, name)
    return -1.0 if estimate.est is None else estimate.lo


def _shown(found: Agreement, verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        name: {"estimate": value.est, "low": value.lo, "high": value.hi}
        for name in MEASURES
        for value in [getattr(found, name)]
    }
    return shown | {"unscored": sum(v.decisive.label is None for v in verdicts.values())}
