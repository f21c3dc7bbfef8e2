"""`tidegauge power`."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from tidegauge import show
from tidegauge.commands.context import Context, note, print_json, print_text
from tidegauge.errors import UsageError

if TYPE_CHECKING:
    from tidegauge.service.power import Known

_MOST = 1e12
GIVEN = ("requests_per_day", "labels_per_day", "sensitivity", "specificity", "sampling_rate")


def run(context: Context) -> int:
    from tidegauge.slo.power import allot

    args = context.args
    _check(args)
    rate = context.config_if_any().sampling.rate if args.sampling_rate is None else args.sampling_rate
    intents = _given(context, rate) if args.requests_per_day is not None else _stored(context)
    if args.plot:
        from tidegauge.commands import power_plot

        power_plot.check(args.plot)
    rows = [_row(known, args.within) for known in intents]
    requests = {known.intent: known.situation.requests for known in intents}
    rates = allot(requests, rate, args.minimum)
    found = {"intents": [row for row, _ in rows], "plan": _plan(requests, rates, rate, args.minimum)}
    if args.plot:
        power_plot.draw(args.plot, [(known, delays) for known, (_, delays) in zip(intents, rows, strict=True)])
        note(f"plot in {args.plot}")
    if args.json:
        print_json(found)
    else:
        print_text(text(found))
    return 0


def _check(args: Any) -> None:
    if args.requests_per_day is None and any(getattr(args, name) is not None for name in GIVEN[1:4]):
        raise UsageError("power: without --requests-per-day the intents are read from the store; give it too")
    for name in ("requests_per_day", "labels_per_day", "within", "minimum"):
        value = getattr(args, name)
        if value is not None and not 0 < value <= _MOST:
            raise UsageError(f"--{name.replace('_', '-')} {value:g}: must be above 0 and at most {_MOST:g}")
    for name in ("sensitivity", "specificity", "base_rate", "sampling_rate"):
        value = getattr(args, name)
        if value is not None and not 0 < value <= 1:
            raise UsageError(f"--{name.replace('_', '-')} {value:g}: must be above 0 and at most 1")


def _given(context: Context, rate: float) -> "list[Known]":
    from tidegauge.service import power
    from tidegauge.slo.power import Situation

    args = context.args
    objective = context.config_if_any().objective(args.intent or "*")
    situation = Situation(
        requests=args.requests_per_day,
        judged=max(args.requests_per_day * rate, 1.0),
        labels=args.labels_per_day or objective.labels_per_day,
        sensitivity=args.sensitivity or power.SENSITIVITY,
        specificity=args.specificity or power.SPECIFICITY,
        theta0=objective.theta0,
        base=args.base_rate,
        alpha=objective.alpha,
    )
    return [power.Known(intent=args.intent or "*", situation=situation, deployments=4, positives=0, negatives=0)]


def _stored(context: Context) -> "list[Known]":
    from tidegauge.service.power import known

    args, config = context.args, context.config_if_any()
    with context.existing_store() as store, store.read() as tx:
        found = [one for one in known(tx, config.objective, args.base_rate) if args.intent in (None, one.intent)]
    if not found:
        raise UsageError("power: the store has no such traffic yet; give --requests-per-day, or `tidegauge run` first")
    return found


def _row(known: "Known", within: float) -> tuple[dict[str, Any], list[Any]]:
    """What is shown of one intent, and its delays."""
    from tidegauge.slo.power import HORIZON, RISES, delay, false_alarms, needed

    situation = known.situation
    delays = [delay(situation, rise) for rise in RISES]
    wanted = needed(situation, within)
    row = {
        "intent": known.intent,
        "objective": situation.theta0,
        "requests_per_day": round(situation.requests),
        "judged_per_day": round(situation.judged),
        "labels_per_day": situation.labels,
        "sensitivity": round(situation.sensitivity, 3),
        "specificity": round(situation.specificity, 3),
        "judge_labelled": {"positives": known.positives, "negatives": known.negatives},
        "base_rate": situation.before,
        "detect": [
            {
                "from": situation.before,
                "to": one.rate,
                "median_judged": _finite(one.median_judged),
                "median_days": _finite(one.median_days),
                "days_in_nine_of_ten": _finite(one.late_days),
                f"share_within_{HORIZON}_days": one.seen,
            }
            for one in delays
        ],
        "false_alarms": {
            "deployments_in_28_days": known.deployments,
            "at_most_in_28_days": false_alarms(situation.alpha, known.deployments),
        },
        "wanted": {
            "to": delays[1].rate,
            "within_days": within,
            "labels_per_day": None if wanted is None else round(wanted.labels),
            "judged_per_day": None if wanted is None else round(wanted.judged),
        },
    }
    return row, delays


def _finite(value: float) -> float | None:
    return round(value, 2) if isfinite(value) else None


def _plan(requests: Mapping[str, float], rates: Mapping[str, float], rate: float, minimum: float) -> dict[str, Any]:
    rows = [
        {
            "intent": intent,
            "rate": float(f"{rates[intent]:.4g}"),
            "samples_per_day": round(rates[intent] * requests[intent]),
            "minimum_met": rates[intent] * requests[intent] >= min(minimum, requests[intent]) * 0.999,
        }
        for intent in sorted(rates)
        if intent != "*"
    ]
    return {"total_rate": rate, "minimum_per_day": minimum, "rows": rows}


def text(found: Mapping[str, Any]) -> str:
    lines: list[str] = []
    for row in found["intents"]:
        lines += [*_intent(row), ""]
    rows = found["plan"]["rows"]
    if rows:
        lines.append(
            f"Sampling plan: {found['plan']['total_rate']:.2%} in all, at least "
            f"{found['plan']['minimum_per_day']:g} a day each"
        )
        cells = [(r["intent"], f"{r['rate']:.4g}", r["samples_per_day"], _yes(r["minimum_met"])) for r in rows]
        lines += [show.table(("intent", "rate", "samples a day", "minimum met"), cells)]
        lines.append("To use it: tidegauge power --json > plan.json, then tidegauge sampling apply plan.json")
    return "\n".join(lines).rstrip()


def _yes(met: bool) -> str:
    return "yes" if met else "no: the total is too small"


def _intent(row: Mapping[str, Any]) -> Sequence[str]:
    labelled = row["judge_labelled"]["positives"] + row["judge_labelled"]["negatives"]
    wanted = row["wanted"]
    if wanted["labels_per_day"] is None:
        needs = "cannot be had: even labelling every request is not enough"
    else:
        needs = f"needs {wanted['labels_per_day']} labels of {wanted['judged_per_day']} judged answers a day"
    return [
        f"{row['intent']}: {row['requests_per_day']} requests, {row['judged_per_day']} judged and "
        f"{row['labels_per_day']:g} labelled a day; judge {row['sensitivity']:.2f} / {row['specificity']:.2f} "
        f"({f'from {labelled} labels' if labelled else 'assumed'})",
        *(f"  {_rise(one)}" for one in row["detect"]),
        f"  To see {row['base_rate']:.1%} -> {wanted['to']:.1%} within {wanted['within_days']:g} days {needs}",
        f"  False rollbacks: at most {row['false_alarms']['at_most_in_28_days']:.4f} in 28 days, with "
        f"{row['false_alarms']['deployments_in_28_days']:g} deployments",
    ]


def _rise(one: Mapping[str, Any]) -> str:
    rise = f"{one['from']:.1%} -> {one['to']:.1%}"
    if one["median_days"] is None:
        seen = next(value for name, value in one.items() if name.startswith("share_within"))
        return f"{rise}: seen within 30 days in {seen:.0%} of the cases"
    late = one["days_in_nine_of_ten"]
    tail = f"; nine of ten within {late:.1f} days" if late is not None else ""
    return f"{rise}: rolled back after {one['median_days']:.1f} days, {one['median_judged']:.0f} judged (median){tail}"
