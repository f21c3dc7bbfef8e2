"""`tidegauge judge report`."""

from collections.abc import Mapping
from typing import Any

from tidegauge import show
from tidegauge.commands.context import Context, note, print_json, print_text


def report(context: Context) -> int:
    """How far each judge can be trusted."""
    from evaluators.build import build_cascade
    from tidegauge.service.calibration import labelled_scores
    from tidegauge.service.judge_report import judge_report

    config = context.config()
    cascade = build_cascade(config)
    known = {e.content_hash: e for e in (*cascade.evaluators, *cascade.judges)}
    with context.existing_store() as store, store.read() as tx:
        rows = labelled_scores(tx)
    found = judge_report(rows, known, config.objective("*").theta0)
    if context.args.json:
        print_json([line.row for line in found])
    elif found:
        print_text(text([line.row for line in found]))
    else:
        note("nothing is labelled yet; next: tidegauge review export")
    if context.args.plots:
        _draw(context, found)
    return 0


def text(rows: list[dict[str, Any]]) -> str:
    header = ("evaluator", "version", "intent", "labelled", "positive", "sensitivity", "specificity", "kappa", "ece")
    lines = [
        (
            row["evaluator"],
            row["version"],
            row["intent"],
            row["labelled"],
            row["positives"],
            *(_estimate(row[name]) for name in ("sensitivity", "specificity", "kappa")),
            _errors(row),
        )
        for row in rows
    ]
    return show.table(header, lines)


def _estimate(value: Mapping[str, float | None]) -> str:
    if value["estimate"] is None:
        return "unknown"
    return f"{value['estimate']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def _errors(row: Mapping[str, Any]) -> str:
    """Raw, and after calibration where that is known."""
    raw, calibrated = row["calibration_error"], row["calibration_error_calibrated"]
    return f"{raw:.3f}" + ("" if calibrated is None else f" -> {calibrated:.3f}")


def _draw(context: Context, found: Any) -> None:
    from evaluators.plots import reliability

    folder = context.args.plots
    folder.mkdir(parents=True, exist_ok=True)
    for line in found:
        if line.reliability is None:
            continue
        row, drawn = line.row, line.reliability
        for name, values in (("raw", drawn.raw), ("calibrated", drawn.calibrated)):
            path = folder / f"{row['evaluator']}-{name}.png"
            title = f"{row['evaluator']} {row['version']}, {name} scores"
            reliability(path, values, drawn.truth, weights=drawn.weights, title=title)
            note(f"wrote {path}")
