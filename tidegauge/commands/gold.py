"""`tidegauge gold add|list`: cases with known labels."""

import msgspec

from tidegauge import show
from tidegauge.commands.context import Context, lines_of, note, print_json
from tidegauge.errors import TidegaugeError, UsageError


def add(context: Context) -> int:
    """Labels in, and the cases that they are about. Raises TidegaugeError where there were lines and none was taken."""
    from tidegauge.service import gold

    path = context.args.file
    try:
        lines = lines_of(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    with context.store() as store, store.write() as tx:
        report = gold.add(tx, lines, context.clock.now())
    shown = msgspec.to_builtins(report) | {"bad": len(report.bad), "bad_lines": [b._asdict() for b in report.bad]}
    print_json(shown)
    taken = report.added + report.labelled + report.changed + report.doubled
    if not taken and (report.bad or report.unknown):
        raise TidegaugeError(f"{path}: no label was taken: {len(report.bad)} bad and {report.unknown} unknown lines")
    return 0


def known(context: Context) -> int:
    """The cases, and whether their labels are confirmed."""
    from tidegauge.service import gold

    with context.existing_store() as store, store.read() as tx:
        rows = gold.rows(gold.cases(tx))
    if context.args.json:
        print_json(rows)
    elif rows:
        table = [(r["id"], r["intent"], r["state"], _word(r["hallucinated"]), len(r["reviewers"])) for r in rows]
        print(show.table(("id", "intent", "state", "label", "reviewers"), table))
    else:
        note("no gold cases yet; next: tidegauge gold add FILE")
    return 0


def _word(hallucinated: bool | None) -> str:
    return "" if hallucinated is None else "hallucinated" if hallucinated else "faithful"
