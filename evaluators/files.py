"""The same evaluators on any file: `tidegauge evaluate FILE --out FILE`. No store is touched.

In: JSON lines {id, intent?, question?, contexts, response}, or a request log, plain or .gz. Out: a JSON line per id and
evaluator, in the order of the input, {id, score, label, confidence, reason, evaluator, version}. Every evaluator sees
every line.
"""

import gzip
from codecs import BOM_UTF8
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec

from evaluators.cascade import Cascade
from evaluators.quality import Judged, quality
from evaluators.window import JudgeWindow
from tidegauge.domain import Context, Deployment, Message, Request, Score, Verdict
from tidegauge.errors import UsageError
from tidegauge.spelling import did_you_mean

_NOWHERE = Deployment(model_version="", prompt_version="", retrieval_index="")
_SHOWN_PROBLEMS = 20
_TRUTHS = {"hallucinated": True, "faithful": False, "true": True, "false": False, "1": True, "0": False}


class _Text(msgspec.Struct):
    text: str


class _Line(msgspec.Struct):
    response: str
    id: str | int | None = None
    request_id: str | int | None = None
    """The id in a request log."""
    question: str | None = None
    messages: tuple[Message, ...] | None = None
    intent: str | None = None
    contexts: list[str | _Text] | None = None


class _Read(NamedTuple):
    id: str | int
    truth: bool | None
    intent: str
    source: str


class Report(NamedTuple):
    """What came of a file. `summary` is what is printed; the rest is for reports in other forms."""

    summary: dict[str, Any]
    verdicts: list["LineVerdict"]
    scored: dict[str, list[Judged]]
    """By evaluator: lines with a score and a truth."""


class LineVerdict(NamedTuple):
    """What the deciding evaluator says of a line."""

    id: str | int
    label: str | None
    score: float | None
    reason: str


def evaluate_file(source: Path, out: Path, cascade: Cascade, labels_field: str | None = None) -> Report:
    """Evaluates a file; what was read, what was wrong with it, and with labels the quality of each evaluator.

    The summary is {lines, evaluated, bad, problems: [{line, reason}] (the first 20), unscored, faithful (share of the
    scored lines by the deciding evaluator), quality: {evaluator: {labelled, scored, and the measures of
    `evaluators.quality`, by_intent, by_source}}}. Blank lines are no lines. Raises UsageError where a file cannot be
    used, or has no line with the field of the labels.
    """
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"{out}: the output would overwrite the input; name another file")
    report = _Collector(labels_field)
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


class _Collector:
    def __init__(self, labels_field: str | None) -> None:
        self.labels_field = labels_field
        self.lines = self.evaluated = self.bad = 0
        self.problems: list[dict[str, Any]] = []
        self.fields: set[str] = set()
        self._verdicts: list[LineVerdict] = []
        self._labelled: Counter[str] = Counter()
        self._rows: dict[str, list[tuple[Judged, _Read]]] = defaultdict(list)

    def add_problem(self, line: int, reason: str) -> None:
        self.bad += 1
        if len(self.problems) < _SHOWN_PROBLEMS:
            self.problems.append({"line": line, "reason": reason})

    def add(self, entry: _Read, verdict: Verdict) -> None:
        self.evaluated += 1
        decisive = verdict.decisive
        self._verdicts.append(LineVerdict(entry.id, decisive.label, decisive.score, decisive.reason))
        if entry.truth is None:
            return
        for score in verdict.scores:
            self._labelled[score.evaluator] += 1
            if score.score is not None:
                judged = Judged(score.score, score.label == "hallucinated", entry.truth)
                self._rows[score.evaluator].append((judged, entry))

    def result(self) -> Report:
        if self.labels_field and self.evaluated and self.labels_field not in self.fields:
            hint = did_you_mean(self.labels_field, self.fields, cutoff=0.6)
            there_are = f"; there are {', '.join(sorted(self.fields))}"
            raise UsageError(f"--labels {self.labels_field}: no line has that field{hint or there_are}")
        scored = [v for v in self._verdicts if v.score is not None]
        summary = {
            "lines": self.lines,
            "evaluated": self.evaluated,
            "bad": self.bad,
            "problems": self.problems,
            "unscored": len(self._verdicts) - len(scored),
            "faithful": sum(v.label == "faithful" for v in scored) / len(scored) if scored else None,
            "quality": {name: self._quality(name) for name in self._labelled},
        }
        return Report(summary, self._verdicts, {name: [j for j, _ in rows] for name, rows in self._rows.items()})

    def _quality(self, name: str) -> dict[str, Any]:
        rows = self._rows[name]
        found = {"labelled": self._labelled[name], "scored": len(rows), **quality([judged for judged, _ in rows])}
        for part in ("intent", "source"):
            groups: dict[str, list[Judged]] = defaultdict(list)
            for judged, entry in rows:
                groups[getattr(entry, part)].append(judged)
            if any(groups):
                found[f"by_{part}"] = {
                    group: {"scored": len(members), **quality(members)} for group, members in sorted(groups.items())
                }
        return found


def _verdicts(
    lines: Iterable[bytes], window: JudgeWindow, report: _Collector, read: dict[int, _Read]
) -> Iterator[Verdict]:
    """Verdicts as they are reached, with running numbers instead of request ids."""
    for number, data in enumerate(lines, start=1):
        if not data.strip():
            continue
        report.lines += 1
        try:
            request, entry = _request(data, report.lines - report.bad - 1, report)
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


def _request(data: bytes, number: int, report: _Collector) -> tuple[Request, _Read]:
    """The request of a line. Raises ValueError where it is none."""
    try:
        value = msgspec.json.decode(data.removeprefix(BOM_UTF8))
    except (RecursionError, UnicodeDecodeError):
        raise ValueError("the line is no JSON") from None
    line = msgspec.convert(value, _Line)
    identity = line.request_id if line.id is None else line.id
    if identity is None:
        raise ValueError("Object missing required field `id`, or `request_id` as in a request log")
    request = Request(
        request_id=str(number),
        timestamp=0,
        intent=line.intent or "",
        deployment=_NOWHERE,
        question=line.question,
        messages=line.messages or (),
        contexts=tuple(Context(text=c if isinstance(c, str) else c.text) for c in line.contexts or ()),
        response=line.response,
    )
    report.fields |= value.keys()
    truth = _truth(value.get(report.labels_field)) if report.labels_field else None
    return request, _Read(identity, truth, request.intent, str(value.get("source") or ""))


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


def _opened(source: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(source)) if source.suffix == ".gz" else source.open("rb")
