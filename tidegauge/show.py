"""Tables and figures for people."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tidegauge.domain import HALLUCINATION

RIGHT = frozenset(
    {"rate", "interval", "judged", "labelled", "sampled", "seen", "pending", "unscored", "queued", "budget", "burn"}
)

_UNRULY = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+")


def tame(text: object) -> str:
    """Without what colours a terminal, moves its cursor or turns its lines round: names of the log may hold it."""
    return _UNRULY.sub(" ", str(text))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns; figures to the right."""
    cells = [[tame(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
    lines = [_line([c.upper() for c in columns], columns, widths), *(_line(row, columns, widths) for row in cells)]
    return "\n".join(lines)


def _line(cells: Sequence[str], columns: Sequence[str], widths: Sequence[int]) -> str:
    parts = (
        cell.rjust(width) if column in RIGHT else cell.ljust(width)
        for cell, column, width in zip(cells, columns, widths, strict=True)
    )
    return "  ".join(parts).rstrip()


def percent(share: float | None) -> str:
    """A share of one, `1.2 %`; unknown is never shown as nothing."""
    return "unknown" if share is None else f"{100 * share:.1f} %"


def interval(low: float | None, high: float | None) -> str:
    return "[0, 100]" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"


def deployment(of: Mapping[str, Any] | None) -> str:
    """A deployment by its parts, as people know it."""
    if not of:
        return "none"
    return f"{of['model_version']} / {of['prompt_version']} / {of['retrieval_index']}"


def subject(of: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> str:
    """What a ticket is about; of a deployment also its parts, by which people know it."""
    said = {key: f"{value} ({deployment(known[value])})" if value in known else value for key, value in of.items()}
    intent = said.pop("intent", None)
    return ", ".join([*([str(intent)] if intent else []), *(f"{key} {value}" for key, value in said.items())])


def slo_table(rows: Sequence[Mapping[str, Any]], standing: Mapping[tuple[str, str], str]) -> str:
    """The table of `tidegauge slo`; the budget is the intent's, and stands in its first row."""
    columns = (
        *("intent", "id", "deployment", "traffic", "rate", "interval", "judged", "labelled", "state"),
        *("budget", "burn", "gone by"),
    )
    first = {row["intent"]: place for place, row in reversed(list(enumerate(rows)))}
    return table(
        columns,
        [
            (
                row["intent"] if row["indicator"] == HALLUCINATION else f"{row['intent']}: {row['indicator']}",
                row["deployment"]["id"],
                deployment(row["deployment"]),
                standing.get((row["intent"], row["deployment"]["id"]), "gone"),
                percent(row["rate"]),
                interval(row["low"], row["high"]),
                row["judged"],
                row["labelled"],
                row["state"],
                *(_budget(row) if first[row["intent"]] == place else ("", "", "")),
            )
            for place, row in enumerate(rows)
        ],
    )


def _budget(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return share_used(row["budget_used"]), times(row["burn_rate"]), row["exhausted_on"] or "-"


def share_used(used: float | None) -> str:
    """A share of an error budget; 100 % is all of it."""
    return "unknown" if used is None else f"{100 * used:.0f} %"


def times(rate: float | None) -> str:
    """A burn rate: 1 is just what the objective allows."""
    return "-" if rate is None else f"{rate:.1f}x"


def budget_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of `tidegauge slo budget`."""
    columns = (
        "indicator",
        "intent",
        "segment",
        "objective",
        "rate",
        "interval",
        "budget",
        "burn",
        "gone by",
        "tickets",
    )
    return table(
        columns,
        [
            (
                row["indicator"],
                row["intent"],
                segment(row.get("cohort"), row.get("experiment")),
                percent(row["objective"]),
                percent(row["rate"]) if row["rate"] is not None or not row.get("reason") else row["reason"],
                interval(row["low"], row["high"]) if row["low"] != row["high"] else "counted",
                *_budget(row),
                ", ".join(f"{level['burn']:g}x" for level in row["burning"] if level["proven"]) or "-",
            )
            for row in rows
        ],
    )


def segment(cohort: str | None, experiment: str | None) -> str:
    """Production as a whole where no segment is named."""
    if cohort is None:
        return "production"
    parts = [f"experiment {experiment}" if experiment else "", f"cohort {cohort}" if cohort else ""]
    return ", ".join(part for part in parts if part) or "no cohort"


def failing(judge: str, row: Mapping[str, Any]) -> str:
    """A judge that does not answer, as in `evaluation.failing` of the status."""
    asked = f"{row['failures']} questions in {row['calls']} calls since {row['since']}"
    return f"{judge}: no answer to {asked}; last: {row['reason']}"


def history_lines(versions: Sequence[Mapping[str, Any]], days: Sequence[Mapping[str, Any]]) -> str:
    """`tidegauge slo history`: how objectives changed, then the budgets day by day."""
    lines = []
    for row in versions:
        what = f"{row['indicator']} of {row['intent']}: {percent(row['objective'])} in {row['window']}"
        lines.append(f"{row['since'][:19]}  {what}, risk {row['risk']}, owner {row['owner']}")
        lines += [f"{c['at'][:19]}    {c['what']}: {c['old']} is now {c['new']}" for c in row["changes"]]
    columns = ("day", "indicator", "intent", "rate", "budget", "burn")
    cells = [
        (d["day"], d["indicator"], d["intent"], percent(d["rate"]), share_used(d["budget_used"]), times(d["burn_rate"]))
        for d in days
    ]
    return "\n".join([*lines, *(["", table(columns, cells)] if cells else [])])
