"""`tidegauge review export|import`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tidegauge.commands.context import Context, note, print_json
from tidegauge.errors import TidegaugeError


def export(context: Context) -> int:
    """Queued cases, a line each, the most urgent first."""
    from tidegauge.service.review import export_cases

    with context.store() as store, store.read() as tx:
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
    """Labels in; decides and makes the first attempt of what comes due at once."""
    from tidegauge.alerts.act import import_and_act

    path = context.args.file
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise TidegaugeError(f"{path}: cannot be read: {error.strerror}") from None
    with context.store() as store:
        report: Mapping[str, Any] = import_and_act(store, context.config(), context.clock, lines)
    print_json(report)
    return 0
