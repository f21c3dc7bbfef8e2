"""The same evaluators on any file: `tidegauge evaluate FILE --out FILE`. No store is touched.

In: JSON lines {id, intent?, question?, contexts, response}, plain or .gz. Out: a JSON line per id and evaluator, in the
order of the input, {id, score, label, confidence, reason, evaluator, version}. Every evaluator sees every line.
"""

import gzip
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec

from evaluators.cascade import Cascade
from evaluators.quality import auroc, balanced_accuracy, kappa
from evaluators.window import JudgeWindow
from tidegauge.domain import Context, Deployment, Request, Score, Verdict
from tidegauge.errors import UsageError

_NOWHERE = Deployment(model_version="", prompt_version="", retrieval_index="")
_SHOWN_PROBLEMS = 20
_TRUTHS = {"hallucinated": True, "faithful": False, "true": True, "false": False, "1": True, "0": False}


class _Text(msgspec.Struct):
    text: str


class _Line(msgspec.Struct):
    id: str | int
    response: str
    question: str | None = None
    intent: str | None = None
    contexts: list[str | _Text] | None = None


class _Read(NamedTuple):
    id: str | int
    truth: bool | None


def evaluate_file(source: Path, out: Path, cascade: Cascade, labels_field: str | None = None) -> dict[str, Any]:
    """Evaluates a file; what was read, what was wrong with it, and with labels the quality of each evaluator.

    Returns {lines, evaluated, bad, problems: [{line, reason}] (the first 20), quality: {evaluator: {labelled, scored,
    auroc, balanced_accuracy, kappa}}}. Blank lines are no lines. Raises UsageError where a file cannot be used.
    """
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"{out}: the output would overwrite the input; name another file")
    report = _Report(labels_field)
    read: dict[int, _Read] = {}
    with ExitStack() as stack:
        try:
            lines = stack.enter_context(_opened(source))
            target = stack.enter_context(out.open("wb"))
            window = stack.enter_context(JudgeWindow(cascade))
            for verdict in _in_order(_verdicts(lines, window, report, read)):
                entry = read.pop(int(verdict.request_id))
                for score in verdict.scores:
                    target.write(msgspec.json.encode(_shown(entry.id, score)) + b"\n")
                report.add(entry, verdict)
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"{getattr(error, 'filename', None) or source}: {reason}") from error
    return report.result()


class _Report:
    def __init__(self, labels_field: str | None) -> None:
        self.labels_field = labels_field
        self.lines = self.evaluated = self.bad = 0
        self.problems: list[dict[str, Any]] = []
        self._rows: dict[str, list[tuple[Score, bool]]] = defaultdict(list)

    def add_problem(self, line: int, reason: str) -> None:
        self.bad += 1
        if len(self.problems) < _SHOWN_PROBLEMS:
            self.problems.append({"line": line, "reason": reason})

    def add(self, entry: _Read, verdict: Verdict) -> None:
        self.evaluated += 1
        if entry.truth is not None:
            for score in verdict.scores:
                self._rows[score.evaluator].append((score, entry.truth))

    def result(self) -> dict[str, Any]:
        quality = {name: _quality(rows) for name, rows in self._rows.items()}
        return {
            "lines": self.lines,
            "evaluated": self.evaluated,
            "bad": self.bad,
            "problems": self.problems,
            "quality": quality,
        }


def _verdicts(
    lines: Iterable[bytes], window: JudgeWindow, report: _Report, read: dict[int, _Read]
) -> Iterator[Verdict]:
    """Verdicts as they are reached, with running numbers instead of request ids."""
    for number, data in enumerate(lines, start=1):
        if not data.strip():
            continue
        report.lines += 1
        try:
            request, entry = _request(data, report.lines - report.bad - 1, report.labels_field)
        except ValueError as error:
            report.add_problem(number, str(error).splitlines()[0])
            continue
        read[int(request.request_id)] = entry
        window.submit(request, everyone=True)
        yield from window.finished()
    yield from window.drain()


def _in_order(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    waiting: dict[int, Verdict] = {}
    expected = 0
    for verdict in verdicts:
        waiting[int(verdict.request_id)] = verdict
        while expected in waiting:
            yield waiting.pop(expected)
            expected += 1


def _request(data: bytes, number: int, labels_field: str | None) -> tuple[Request, _Read]:
    """The request of a line. Raises ValueError where it is none."""
    try:
        value = msgspec.json.decode(data)
    except (RecursionError, UnicodeDecodeError):
        raise ValueError("the line is no JSON") from None
    line = msgspec.convert(value, _Line)
    request = Request(
        request_id=str(number),
        timestamp=0,
        intent=line.intent or "",
        deployment=_NOWHERE,
        question=line.question,
        contexts=tuple(Context(text=c if isinstance(c, str) else c.text) for c in line.contexts or ()),
        response=line.response,
    )
    return request, _Read(line.id, _truth(value.get(labels_field)) if labels_field else None)


def _truth(value: object) -> bool | None:
    """True for hallucinated; None where the label says nothing."""
    return None if value is None else _TRUTHS.get(str(value).strip().lower())


def _shown(identity: str | int, score: Score) -> dict[str, Any]:
    return {
        "id": identity,
        "score": score.score,
        "label": score.label,
        "confidence": score.confidence,
        "reason": score.reason,
        "evaluator": score.evaluator,
        "version": score.version,
    }


def _quality(rows: list[tuple[Score, bool]]) -> dict[str, Any]:
    scored = [(s.score, s.label == "hallucinated", truth) for s, truth in rows if s.score is not None]
    truths = [truth for _, _, truth in scored]
    labels = [label for _, label, _ in scored]
    return {
        "labelled": len(rows),
        "scored": len(scored),
        "auroc": auroc([score for score, _, _ in scored], truths),
        "balanced_accuracy": balanced_accuracy(labels, truths),
        "kappa": kappa(labels, truths),
    }


def _opened(source: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(source)) if source.suffix == ".gz" else source.open("rb")
