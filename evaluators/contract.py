"""What every evaluator that asks nobody must hold to; `tidegauge evaluator test` runs it on the user's own.

Each check takes an evaluator and returns what is wrong, or nothing.
"""

import copy
import math
import pickle
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from evaluators.base import OfflineEvaluator, missing
from tidegauge.domain import Context, Deployment, Request, Score

SECONDS = 5.0
"""For the hugest answer; a shipped evaluator takes milliseconds."""

_NOWHERE = Deployment(model_version="m", prompt_version="p", retrieval_index="i")


class Check(NamedTuple):
    name: str
    problem: str
    """Empty where it holds."""


def request(response: str | None, *contexts: str, question: str | None = "How long do refunds take?") -> Request:
    return Request(
        request_id="r-1",
        timestamp=0,
        intent="refunds.policy",
        deployment=_NOWHERE,
        question=question,
        contexts=tuple(Context(text=text) for text in contexts),
        response=response,
    )


ORDINARY = request("Refunds take 14 days.", "Refunds are paid within 14 days.")
CASES = {
    "an ordinary answer": ORDINARY,
    "an empty answer": request("", "Refunds are paid within 14 days."),
    "no answer at all": request(None, "Refunds are paid within 14 days."),
    "no context": request("Refunds take 14 days."),
    "an empty context": request("Refunds take 14 days.", ""),
    "no question": request("Refunds take 14 days.", "Refunds are paid within 14 days.", question=None),
    "a huge answer": request("Refunds take 14 days. " * 20_000, "Refunds are paid within 14 days. " * 20_000),
    "one huge word": request("a" * 500_000, "b" * 500_000),
    "many scripts": request("退款需要14天。Возврат 14 дней. 🙂\u202e\u0000\ud800", "返金は14日以内です。"),
    "markup": request("<script>alert(1)</script> {{7*7}} %s \\", "'; DROP TABLE samples; --"),
}


def check(evaluator: OfflineEvaluator) -> list[Check]:
    """All checks, in one order."""
    rules: dict[str, Callable[[OfflineEvaluator], Iterator[str]]] = {
        "names itself": _named,
        "handles every input": _handles,
        "is deterministic": _deterministic,
        "changes nothing": _changes_nothing,
        "takes bounded time": _bounded,
        "travels between processes": _travels,
    }
    return [Check(name, next(rule(evaluator), "")) for name, rule in rules.items()]


def _named(evaluator: OfflineEvaluator) -> Iterator[str]:
    if not evaluator.name or not evaluator.version or not evaluator.content_hash:
        yield "name, version and content_hash must not be empty"
    if len(evaluator.edges) != 7 or list(evaluator.edges) != sorted(evaluator.edges):
        yield "edges must be seven ascending numbers"
    unknown = evaluator.needs - {"question", "contexts"}
    if unknown:
        yield f"needs knows question and contexts, not {', '.join(sorted(unknown))}"


def _handles(evaluator: OfflineEvaluator) -> Iterator[str]:
    for name, case in CASES.items():
        if missing(evaluator, case):
            continue
        try:
            problem = _wrong(evaluator.evaluate(case))
        except Exception as error:  # noqa: BLE001 - that is what is being found out
            problem = f"raises {type(error).__name__}"
        if problem:
            yield f"{name}: {problem}"


def _wrong(score: Score) -> str:
    if score.score is None:
        return "" if score.label is None else "a label without a score"
    if not math.isfinite(score.score):
        return "the score is not finite"
    return "" if 0 <= score.confidence <= 1 else "the confidence is not within 0 and 1"


def _deterministic(evaluator: OfflineEvaluator) -> Iterator[str]:
    for name, case in CASES.items():
        if not missing(evaluator, case) and evaluator.evaluate(case) != evaluator.evaluate(copy.deepcopy(case)):
            yield f"{name}: two scores for the same request"


def _changes_nothing(evaluator: OfflineEvaluator) -> Iterator[str]:
    before = copy.deepcopy(ORDINARY)
    evaluator.evaluate(ORDINARY)
    if before != ORDINARY:
        yield "the request was changed"


def _bounded(evaluator: OfflineEvaluator) -> Iterator[str]:
    for name, case in CASES.items():
        if missing(evaluator, case):
            continue
        start = time.process_time()
        said = evaluator.evaluate(case)
        if time.process_time() - start > SECONDS or said.reason.startswith("took over"):
            yield f"{name}: takes too long"


def _travels(evaluator: OfflineEvaluator) -> Iterator[str]:
    try:
        copied = pickle.loads(pickle.dumps(evaluator))  # noqa: S301 - what was pickled in the line itself
    except Exception as error:  # noqa: BLE001 - that is what is being found out
        yield f"cannot be pickled: {type(error).__name__}"
        return
    if copied.content_hash != evaluator.content_hash or copied.evaluate(ORDINARY) != evaluator.evaluate(ORDINARY):
        yield "is another one after a journey"
