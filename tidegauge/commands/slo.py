"""`tidegauge slo`."""

from tidegauge import show
from tidegauge.commands.context import Context, print_json
from tidegauge.domain import HALLUCINATION, SloState

BREACH = 3


def export(context: Context) -> int:
    """The objectives in force as OpenSLO documents."""
    from tidegauge.openslo import documents_of, dump, read_files

    config = context.config()
    placed, _ = read_files(config.objectives, config.directory)
    covered = {slo.intent for slo in config.slos if slo.indicator == HALLUCINATION}
    stated = [name for name, intent in sorted(config.intents.items()) if "*" not in covered or intent.objective]
    others = dict.fromkeys(name for name in ("*", *stated) if name not in covered)
    kept = [slo for name in others if (slo := config.slo(HALLUCINATION, name)) is not None]
    print(dump([one.document for one in placed] + documents_of(kept)), end="")
    return 0


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
