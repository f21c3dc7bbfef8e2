"""The report of an evaluated file for people (HTML with plots) and for CI (thresholds, JUnit)."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as Xml

from evaluators import plots
from evaluators.files import Report
from tidegauge.errors import UsageError
from tidegauge.spelling import did_you_mean

_REASONS = 3
MEASURES = ("auroc", "balanced_accuracy", "f1", "kappa")
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1d1d1f}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid #ddd}"
    "th:first-child,td:first-child{text-align:left}"
    "img{max-width:100%;height:auto}.wide{overflow-x:auto}figure{display:inline-block;margin:.5rem;max-width:26rem}"
    "h2{margin-top:2rem}small{color:#666;white-space:nowrap}"
)


class Threshold(NamedTuple):
    """The least that a measure may be; `evaluator` is empty for `faithful`, which is the deciding one's."""

    evaluator: str
    measure: str
    least: float

    @property
    def name(self) -> str:
        return f"{self.evaluator}.{self.measure}" if self.evaluator else self.measure


class Outcome(NamedTuple):
    threshold: Threshold
    value: float | None

    @property
    def failed(self) -> bool:
        return self.value is None or self.value < self.threshold.least

    @property
    def text(self) -> str:
        value = "unknown" if self.value is None else f"{self.value:.3f}"
        return f"{self.threshold.name} is {value}, wanted at least {self.threshold.least:g}"


class Readable(NamedTuple):
    """Whether enough lines could be read. A file of which none could is no success, whatever is allowed."""

    bad: int
    allowed: int | None
    """None: any number, as long as there is a line that could."""
    evaluated: int
    problems: Sequence[Mapping[str, Any]]

    @property
    def failed(self) -> bool:
        return not self.evaluated or (self.allowed is not None and self.bad > self.allowed)

    @property
    def text(self) -> str:
        lines = self.bad + self.evaluated
        if not lines:
            return "the file has no lines"
        reasons = "; ".join(f"line {p['line']}: {p['reason']}" for p in self.problems[:_REASONS])
        allowed = f", allowed are {self.allowed}" if self.allowed else ""
        return f"{self.bad} of {lines} lines could not be read{allowed}: {reasons}"


def readable(report: Report, allowed: int | None) -> Readable:
    summary = report.summary
    return Readable(summary["bad"], allowed, summary["evaluated"], summary["problems"])


def threshold(text: str) -> Threshold:
    """`faithful=0.95` or `EVALUATOR.MEASURE=VALUE`. Raises UsageError."""
    name, _, value = text.partition("=")
    evaluator, _, measure = name.rpartition(".")
    known = MEASURES if evaluator else ("faithful",)
    if measure not in known:
        all_names = ["faithful", *(f"EVALUATOR.{m}" for m in MEASURES)]
        hint = did_you_mean(measure, ["faithful", *MEASURES], cutoff=0.6)
        raise UsageError(f"--fail-under {text}: write {', '.join(all_names)}, then = and a number{hint}")
    try:
        least = float(value)
    except ValueError:
        raise UsageError(f"--fail-under {text}: {value or 'nothing'} is no number") from None
    return Threshold(evaluator, measure, least)


def outcomes(thresholds: Sequence[Threshold], report: Report) -> list[Outcome]:
    """What became of each threshold; an unknown measure fails. Raises UsageError for an evaluator that is not there."""
    quality = report.summary["quality"]
    found = []
    for wanted in thresholds:
        if not wanted.evaluator or not report.summary["evaluated"]:
            found.append(Outcome(wanted, report.summary["faithful"]))
        elif wanted.evaluator in quality:
            found.append(Outcome(wanted, quality[wanted.evaluator][wanted.measure]))
        else:
            there = ", ".join(quality) or "none, since no line has a label: give --labels FIELD"
            raise UsageError(f"--fail-under {wanted.name}: evaluators with labels: {there}")
    return found


def write_junit(path: Path, report: Report, found: Sequence[Outcome], lines: Readable) -> None:
    """A test case per threshold, and one per line: failed where it is hallucinated, skipped where it is unscored.

    Lines that could not be read are one test case together.
    """
    suite = Xml.Element("testsuite", name="tidegauge evaluate")
    for outcome in found:
        case = Xml.SubElement(suite, "testcase", classname="tidegauge.thresholds", name=outcome.threshold.name)
        if outcome.failed:
            Xml.SubElement(case, "failure", message=outcome.text)
    if lines.bad or lines.failed:
        case = Xml.SubElement(suite, "testcase", classname="tidegauge.lines", name="readable")
        if lines.failed:
            Xml.SubElement(case, "failure", message=_xml(lines.text))
    for verdict in report.verdicts:
        case = Xml.SubElement(suite, "testcase", classname="tidegauge.answers", name=_xml(str(verdict.id)))
        if verdict.score is None:
            Xml.SubElement(case, "skipped", message=_xml(verdict.reason))
        elif verdict.label == "hallucinated":
            Xml.SubElement(case, "failure", message=_xml(f"hallucinated, score {verdict.score:.2f}: {verdict.reason}"))
    cases = list(suite)
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    Xml.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def write_html(folder: Path, report: Report, title: str) -> Path:
    """report.html, whole in itself, with its plots beside it as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {name: rows for name, rows in report.scored.items() if rows and len({row.truth for row in rows}) == 2}
    pictures = []
    if drawn:
        curves = {name: ([r.score for r in rows], [r.truth for r in rows]) for name, rows in drawn.items()}
        plots.roc(folder / "roc.png", curves, title="ROC")
        pictures.append("roc.png")
    for name, rows in drawn.items():
        if all(0 <= row.score <= 1 for row in rows):
            file = f"reliability-{name}.png"
            plots.reliability(
                folder / file, [r.score for r in rows], [r.truth for r in rows], title=f"Reliability: {name}"
            )
            pictures.append(file)
    path = folder / "report.html"
    path.write_text(_page(report, title, [(file, (folder / file).read_bytes()) for file in pictures]), encoding="utf-8")
    return path


def _page(report: Report, title: str, pictures: Sequence[tuple[str, bytes]]) -> str:
    summary = report.summary
    faithful = "unknown" if summary["faithful"] is None else f"{summary['faithful']:.1%}"
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>",
        f"<p>{summary['evaluated']} of {summary['lines']} lines evaluated, {summary['bad']} could not be read, "
        f"{summary['unscored']} have no score. Faithful by the deciding evaluator: {faithful}.</p>",
    ]
    if summary["quality"]:
        parts.append("<h2>Against the labels</h2>" + _table(summary["quality"]))
        parts.append("<small>In brackets: 95 % bootstrap intervals.</small>")
    for name, found in summary["quality"].items():
        for part in ("intent", "source"):
            if f"by_{part}" in found:
                parts.append(f"<h2>{html.escape(name)} by {part}</h2>" + _table(found[f"by_{part}"]))
    for file, data in pictures:
        encoded = base64.b64encode(data).decode()
        parts.append(f"<figure><img alt='{html.escape(file)}' src='data:image/png;base64,{encoded}'></figure>")
    return "\n".join(parts)


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    columns = (*MEASURES, "brier", "calibration_error")
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in ("", "scored", *columns))
    body = "".join(
        f"<tr><td>{html.escape(name) or '(none)'}</td><td>{row['scored']}</td>"
        + "".join(f"<td>{_figure(row, column)}</td>" for column in columns)
        + "</tr>"
        for name, row in rows.items()
    )
    return f"<div class=wide><table><tr>{head}</tr>{body}</table></div>"


def _figure(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return "&ndash;"
    limits = row.get(f"{name}_interval")
    return f"{row[name]:.3f}" + (f" <small>[{limits[0]:.2f}, {limits[1]:.2f}]</small>" if limits else "")


def _xml(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(c if c.isprintable() or c in "\t\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
