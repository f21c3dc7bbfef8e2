"""`tidegauge stops`."""

from tidegauge import show
from tidegauge.commands import times
from tidegauge.commands.context import Context, note, print_json
from tidegauge.domain import SECOND


def run(context: Context) -> int:
    """All that ever were, those in force first."""
    from tidegauge.service.stops import stop_rows

    with context.existing_store() as store, store.read() as tx:
        rows = sorted(stop_rows(tx, context.clock.now()), key=lambda row: not row["in_force"])
    if context.args.json:
        print_json(rows)
    elif rows:
        columns = ("intent", "in force", "since", "until", "who", "why")
        cells = [
            (r["intent"], "yes" if r["in_force"] else "no", r["since"], r["until"] or "lifted", r["who"], r["why"])
            for r in rows
        ]
        print(show.table(columns, cells))
    else:
        print("No intent is stopped. To freeze one: tidegauge stops set INTENT --why TEXT")
    return 0


def add(context: Context) -> int:
    from tidegauge.service import intents, stops

    args, now = context.args, context.clock.now()
    until = now + int(times.seconds(args.span) * SECOND) if args.span else None
    with context.store() as store, store.write() as tx:
        if not args.unseen and args.intent != stops.EVERY_INTENT:
            intents.check(tx, context.config(), [args.intent], "stops set")
        stops.stop(tx, args.intent, context.who(), args.why, until, now)
    note(f"{args.intent}: nothing is decided {'for ' + args.span if args.span else 'until tidegauge stops lift'}")
    return 0


def lift(context: Context) -> int:
    from tidegauge.service import stops

    args = context.args
    with context.existing_store() as store, store.write() as tx:
        stops.lift(tx, args.intent, context.who(), context.clock.now())
    note(f"{args.intent}: decided again from the next run on")
    return 0
