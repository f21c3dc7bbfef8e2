"""`tidegauge health`, `tidegauge judge health|trust`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegauge import show
from tidegauge.commands.context import Context, note, print_json, print_text


def alive(context: Context) -> int:
    """Whether the job is; exit code 1 if not, or if the store cannot be reached."""
    from tidegauge.errors import StoreError
    from tidegauge.service.liveness import report, trouble

    try:
        with context.existing_store() as store, store.read() as tx:
            reasons = trouble(tx, context.clock.now())
    except StoreError as error:
        reasons = [str(error)]
    if context.args.json:
        print_json(report(reasons))
    else:
        print_text("\n".join(reasons) or "ok: the store answers, and no stream has stopped ticking")
    return 1 if reasons else 0


def run(context: Context) -> int:
    """Which judges are believed, and how they answer cases whose label is known."""
    from tidegauge.commands import power_plot
    from tidegauge.service.interlock import answers, health_rows, versions

    if context.args.plot:
        power_plot.check(context.args.plot)
    with context.existing_store() as store, store.read() as tx:
        rows, said, names = health_rows(tx), answers(tx), versions(tx)
    if context.args.json:
        print_json(rows)
    elif rows:
        print_text(text(rows))
        for name, failing in {row["evaluator"]: row["failing"] for row in rows if row["failing"]}.items():
            print_text(show.failing(name, failing))
    else:
        print("No judge was asked yet, and none answered a gold case. Next: tidegauge gold add, then tidegauge run")
    if context.args.plot:
        answered = {
            names.get(hash_, f"{evaluator} {hash_[:8]}"): (found.missed, found.accused)
            for (evaluator, hash_), found in sorted(said.items())
            if found.missed or found.accused
        }
        _plot(context.args.plot, answered)
    return 0


def _plot(path: Path, answered: Mapping[str, tuple[Sequence[int], Sequence[int]]]) -> None:
    from evaluators.plots import shares_over_time

    if not answered:
        note(f"--plot {path}: not written, no judge has answered a gold case yet")
        return
    shares_over_time(path, answered)
    note(f"wrote {path}")


def trust(context: Context) -> int:
    from tidegauge.service import interlock

    args = context.args
    with context.existing_store() as store, store.write() as tx:
        released = interlock.trust(tx, args.judge, context.who(), args.why, context.clock.now())
    note(f"{args.judge}: {released} interlock(s) released; its gold answers begin anew")
    return 0


def text(rows: list[dict[str, Any]]) -> str:
    header = ("judge", "state", "sensitivity", "specificity", "gold", "answers as")
    lines = [
        (
            row["evaluator"],
            row["state"] + (f": {row['why']['kind']}, since {row['since'][:16]}" if row["why"] else ""),
            _share(row["sensitivity"]),
            _share(row["specificity"]),
            row["gold"]["hallucinated"] + row["gold"]["faithful"],
            ", ".join(row["answers_as"]) or "-",
        )
        for row in rows
    ]
    return show.table(header, lines)


def _share(value: dict[str, float | None]) -> str:
    if value["est"] is None:
        return "unknown"
    return f"{value['est']:.2f} [{value['lo']:.2f}, {value['hi']:.2f}]"
