"""`tidegauge slo`."""

from tidegauge import show
from tidegauge.commands.context import Context, print_json
from tidegauge.domain import SloState

BREACH = 3


def run(context: Context) -> int:
    from tidegauge.service.report import slo_rows

    config = context.config()
    objectives = {name: config.objective(name).theta0 for name in ("*", *config.intents)}
    with context.store() as store, store.read() as tx:
        rows = slo_rows(tx, objectives)
    if context.args.json:
        print_json(rows)
    elif rows:
        print(show.slo_table(rows))
    else:
        print("No answer was judged yet. Next: tidegauge run, then tidegauge status")
    breached = any(row["state"] == SloState.BREACH for row in rows)
    return BREACH if breached and context.args.fail_on_breach else 0
