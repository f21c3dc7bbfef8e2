"""Tables and figures for people."""

from collections.abc import Mapping, Sequence
from typing import Any

RIGHT = frozenset({"rate", "interval", "judged", "labelled", "sampled", "seen", "pending", "unscored", "queued"})


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns; figures to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
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


def slo_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of `tidegauge slo`."""
    columns = ("intent", "deployment", "rate", "interval", "judged", "labelled", "state")
    return table(
        columns,
        [
            (
                row["intent"],
                deployment(row["deployment"]),
                percent(row["rate"]),
                interval(row["low"], row["high"]),
                row["judged"],
                row["labelled"],
                row["state"],
            )
            for row in rows
        ],
    )
