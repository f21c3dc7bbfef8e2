"""`tidegauge evaluate FILE --out FILE`: no store is touched."""

import msgspec

from tidegauge.commands.context import Context, note, print_json
from tidegauge.config import Config, EvaluationSection
from tidegauge.config_rules import EVALUATORS


def run(context: Context) -> int:
    from evaluators import report as reports
    from evaluators.build import build_cascade
    from evaluators.files import evaluate_file

    args = context.args
    thresholds = [reports.threshold(text) for text in args.fail_under]
    cascade = build_cascade(_config(context))
    names = ", ".join(one.name for one in (*cascade.evaluators, *cascade.judges))
    note(f"judged by {names}" + ("" if context.has_config() else "; there is no configuration here"))
    report = evaluate_file(args.file, args.out, cascade, args.labels)
    outcomes = reports.outcomes(thresholds, report)
    gate = bool(thresholds or args.junit or args.allow_bad is not None)
    lines = reports.readable(report, (args.allow_bad or 0) if gate else None)
    if args.labels or report.summary["bad"]:
        print_json(report.summary)
    note(f"wrote {args.out}")
    if args.report:
        note(f"wrote {reports.write_html(args.report, report, args.file.name)}")
    if args.junit:
        reports.write_junit(args.junit, report, outcomes, lines)
        note(f"wrote {args.junit}")
    said: list[reports.Outcome | reports.Readable] = [*outcomes]
    if lines.bad or lines.failed:
        said.append(lines)
    for one in said:
        note(f"{'FAILED' if one.failed else 'passed'}: {one.text}")
    return 1 if any(one.failed for one in said) else 0


def _config(context: Context) -> Config:
    """The evaluators of the job. Where there is no configuration every shipped one takes part."""
    found = context.config_if_any()
    if not context.has_config() and found.evaluation == EvaluationSection():
        return msgspec.structs.replace(found, evaluation=EvaluationSection(evaluators=EVALUATORS))
    return found
