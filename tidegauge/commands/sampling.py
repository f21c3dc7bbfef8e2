"""`tidegauge sampling show|set`."""

from tidegauge import show as tables
from tidegauge.commands import times
from tidegauge.commands.context import Context, note, print_json
from tidegauge.domain import Micros, iso


def show(context: Context) -> int:
    from tidegauge.storage.sampling import plans

    with context.store() as store, store.read() as tx:
        rows = [
            {
                "plan": plan.plan,
                "valid_from": _since(plan.valid_from),
                "rate": plan.rate,
                "intent": plan.intent or "*",
                "deployment": plan.deployment or "*",
                "reason": plan.reason,
            }
            for plan in plans(tx)
        ]
    if context.args.json:
        print_json(rows)
    elif rows:
        columns = ("plan", "valid_from", "rate", "intent", "deployment", "reason")
        print(tables.table(columns, [[row[column] for column in columns] for row in rows]))
    else:
        print("No plan yet: the first `tidegauge run` writes it, with the rate of the configuration.")
    return 0


def change(context: Context) -> int:
    args = context.args
    valid_from = times.micros(args.valid_from) if args.valid_from else None

    from pipelines.sampling import set_rate

    with context.store() as store:
        plan = set_rate(store, context.clock, args.rate, valid_from, args.intent, args.deployment, "sampling set")
    note(f"plan {plan.plan}: {plan.rate:g} from {_since(plan.valid_from)} on")
    return 0


def _since(time: Micros) -> str:
    return "the beginning" if time < 0 else iso(time)
