"""`tidegauge drill`."""

from typing import Any

from tidegauge import show
from tidegauge.commands import times
from tidegauge.commands.context import Context, note, print_json, print_text
from tidegauge.domain import SECOND
from tidegauge.errors import UsageError

FAILED = 1


def run(context: Context) -> int:
    """Rehearses a regression; exit code 1 where it was not found as it should be."""
    if context.args.history:
        return _history(context)
    from evaluators.endpoint import asked_judges
    from tidegauge.drill import drill
    from tidegauge.drill.scenario import Plan
    from tidegauge.service import intents

    args, config = context.args, context.config()
    if not args.intent:
        raise UsageError("drill: name the intent, --intent NAME; see tidegauge slo for those in the log")
    if not 0 <= args.base_rate < args.rate <= 1 or args.days < 1 or args.healthy < 1:
        raise UsageError("drill: --base-rate lies below --rate, both in [0, 1]; --days and --healthy are at least 1")
    now = context.clock.now()
    with context.store() as store:
        with store.read() as tx:
            if intents.known(tx, config) and not args.unseen:
                intents.check(tx, config, [args.intent], "drill --intent")
            elif not args.unseen:
                note(f"{args.intent}: neither the store nor the configuration knows any intent yet; rehearsed as named")
            found = drill.traffic(tx, args.intent, config.sampling.rate)
            since = now - int(times.seconds(args.unless_passed_within or "1s") * SECOND)
            if args.unless_passed_within and drill.passed_since(tx, args.intent, since):
                note(f"{args.intent}: a drill has passed within {args.unless_passed_within}")
                return 0
        plan = Plan(
            intent=args.intent,
            seed=args.seed,
            requests_per_day=found.requests_per_day,
            healthy_days=args.healthy,
            days=args.days,
            base_rate=args.base_rate,
            rate=args.rate,
        )
        target = drill.Target(days=times.seconds(args.target) / 86_400)
        note(_about(plan, found, [judge.base_url or "" for judge in asked_judges(config)]))
        report = drill.run(config, plan, found, target, times.seconds(args.labels_after) / 3_600, note)
        with store.write() as tx:
            drill.keep(tx, report, config.objective(args.intent).owner, now)
    if args.json:
        print_json(report)
    else:
        print_text(text(report))
    return 0 if report["passed"] else FAILED


def _about(plan: Any, found: Any, judges: list[str]) -> str:
    origin = (
        f"{len(found.material)} answers of production" if found.material else "invented answers: none was judged yet"
    )
    return (
        f"{plan.intent}: {plan.requests_per_day} requests a day made of {origin}, {found.rate:.1%} sampled, "
        f"judged by {', '.join(dict.fromkeys(judges)) or 'heuristics alone'}. "
        f"After {plan.healthy_days} healthy days a release hallucinates in {plan.rate:.0%}"
    )


def text(report: dict[str, Any]) -> str:
    found = report["found_after_days"]
    said = "not found" if found is None else f"found after {found:g} days of event time"
    lines = [
        f"drill {report['id']}: {'PASSED' if report['passed'] else 'FAILED'}",
        f"  {said}; the target is {report['target_days']:g} days",
        *(f"  {failure}" for failure in report["failures"]),
        f"  {report['judged']} judged, {report['unscored']} unscored, {report['labelled']} labelled, "
        f"{report['seen']} requests, {report['seconds']:g} s",
    ]
    evidence = report["evidence"]
    if evidence:
        lines.append(
            f"  named {report['named']}: rate {show.percent(evidence['rate'])} "
            f"{show.interval(evidence['low'], evidence['high'])}, log e {evidence['log_e']:.1f}"
        )
    return "\n".join(lines)


def _history(context: Context) -> int:
    from tidegauge.drill.drill import history

    with context.existing_store() as store, store.read() as tx:
        rows = history(tx)
    if context.args.json:
        print_json(rows)
    elif rows:
        columns = ("began_at", "intent", "passed", "rate", "found_after_days", "target_days", "judged", "labelled")
        print(show.table(columns, [[row[column] for column in columns] for row in rows]))
    else:
        print("No drill yet. Next: tidegauge drill --intent NAME")
    return 0
