"""`tidegauge rejudge`: the past by another judge or rubric."""

from pathlib import Path
from typing import Any

from tidegauge import show
from tidegauge.commands.context import Context, note, print_json, print_text
from tidegauge.commands.times import micros
from tidegauge.domain import short_hash
from tidegauge.errors import UsageError


def run(context: Context) -> int:
    """Scores stored samples anew as shadow verdicts, and compares."""
    from evaluators.build import build_judge, judge_section, measures_hallucination, with_rubric
    from evaluators.rubric import load_rubric
    from tidegauge.service.judging import StoreServices
    from tidegauge.service.rejudge import Past, compare, rejudge

    args, config = context.args, context.config()
    section = judge_section(config, args.judge)
    if not section.on:
        raise UsageError(f"rejudge: judge {args.judge!r} has no base_url; configure it, or name another with --judge")
    rubric = args.rubric or section.rubric
    measures_hallucination("rejudge", load_rubric(rubric, Path(config.rubrics)))
    now = context.clock.now()
    since = micros(args.since)
    run_id = args.run or short_hash(args.judge, section.model, rubric, str(since), args.until or "", args.intent)
    past = Past(
        run=run_id,
        since=since,
        until=micros(args.until) if args.until else now,
        intent=args.intent,
        limit=args.limit,
    )
    with context.existing_store() as store:
        shared = StoreServices(store, config, context.clock)
        judge = build_judge(with_rubric(config, args.judge, rubric), args.judge, shared.services())
        try:
            done = rejudge(store, judge, past, context.clock)
        finally:
            shared.close()
        with store.read() as tx:
            found = compare(tx, run_id)
    if args.json:
        print_json({**found, **done})
    else:
        print_text(text(found))
    if done["spent"]:
        note("the day's budget is spent; go on tomorrow with the same command")
    elif done["pending"]:
        note(f"{done['pending']} could not be asked; go on with the same command")
    return 0


def text(found: dict[str, Any]) -> str:
    kappa, areas = found["kappa"], found["auroc"]
    lines = [f"run {found['run']}: {found['compared']} compared, {found['unscored']} unscored"]
    lines += [f"  {name}: {count}" for name, count in sorted(found["table"].items())]
    if kappa["estimate"] is not None:
        lines.append(f"kappa {kappa['estimate']:.3f} [{kappa['low']:.3f}, {kappa['high']:.3f}]")
    if areas["old"] is not None:
        lines.append(f"AUROC on {found['labelled']} labelled: {areas['old']:.3f} before, {areas['new']:.3f} now")
    if found["disagreements"]:
        rows = [
            (
                d["request_id"],
                d["intent"],
                f"{d['old']['score']:.2f}",
                f"{d['new']['score']:.2f}",
                d["new"]["reason"][:60],
            )
            for d in found["disagreements"]
        ]
        lines += ["", show.table(("request", "intent", "before", "now", "reason"), rows)]
    return "\n".join(lines)
