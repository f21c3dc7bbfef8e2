"""`tidegauge review export|import`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tidegauge.commands.context import Context, lines_of, note, print_json
from tidegauge.errors import TidegaugeError

_KEPT = ("applied", "doubled", "volunteered")
_LINE = '{"request_id", "hallucinated", "reviewer"}'


def export(context: Context) -> int:
    """Queued cases, a line each, the most urgent first."""
    from tidegauge.service.review import export_cases

    with context.existing_store() as store, store.read() as tx:
        lines = (json.dumps(case, ensure_ascii=False) for case in export_cases(tx))
        if context.args.file is None:
            for line in lines:
                print(line)
            return 0
        count = _write(context, lines)
    note(f"{count} cases in {context.args.file}; add hallucinated and reviewer to each, then tidegauge review import")
    return 0


def _write(context: Context, lines: Iterable[str]) -> int:
    path, count = context.args.file, 0
    try:
        with path.open("w", encoding="utf-8") as file:
            for line in lines:
                file.write(line + "\n")
                count += 1
    except OSError as error:
        raise TidegaugeError(f"{path}: cannot be written: {error.strerror}") from None
    return count


def take(context: Context) -> int:
    """Labels in; decides and makes the first attempt of what comes due at once.

    Raises TidegaugeError where there were lines and none was taken: a nightly job would lose its labels unnoticed.
    """
    from tidegauge.alerts.act import import_and_act

    path = context.args.file
    try:
        lines = lines_of(path)
    except OSError as error:
        raise TidegaugeError(f"{path}: cannot be read: {error.strerror}") from None
    with context.existing_store() as store:
        report: Mapping[str, Any] = import_and_act(store, context.config(), context.clock, lines)
    print_json(report)
    if (report["bad"] or report["unknown"]) and not any(report[name] for name in _KEPT):
        raise TidegaugeError(f"{path}: no label was taken: {_first_problem(report)}")
    return 0


def _first_problem(report: Mapping[str, Any]) -> str:
    from tidegauge.service.words import plain

    if report["bad_lines"]:
        first = report["bad_lines"][0]
        return f"line {first['line']}: {first['reason']}; wanted is {_LINE}, a line each"
    return f"{report['unknown']} unknown, the first is {plain(report['unknown_ids'][0])}: no such request was sampled"
