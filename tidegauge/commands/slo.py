"""`tidegauge slo`."""

from tidegauge import show
from tidegauge.commands.context import Context, print_json, print_text
from tidegauge.domain import HALLUCINATION, SloState

BREACH = 3
NOTHING = "No answer was judged yet. Next: tidegauge run, then tidegauge status"


def export(context: Context) -> int:
    """The objectives in force as OpenSLO documents."""
    from tidegauge.openslo import documents_of, dump, read_files

    config = context.config()
    placed, _ = read_files(config.objectives, config.directory)
    covered = {slo.intent for slo in config.slos if slo.indicator == HALLUCINATION}
    stated = [name for name, intent in sorted(config.intents.items()) if "*" not in covered or intent.objective]
    others = dict.fromkeys(name for name in ("*", *stated) if name not in covered)
    kept = [slo for name in others if (slo := config.slo(HALLUCINATION, name)) is not None]
    print(dump([*(one.document for one in placed), *documents_of(kept)]), end="")
    return 0


def budget(context: Context) -> int:
    """Every objective with its error budget."""
    from tidegauge.service.budgets import budget_rows
    from tidegauge.service.burning import Objectives

    config = context.config()
    with context.existing_store() as store, store.read() as tx:
        wanted = Objectives(config.slo, config.counted, config.as_objective)
        rows = budget_rows(tx, wanted, segments=context.args.segments)
    if context.args.json:
        print_json(rows)
    else:
        print(show.budget_table(rows) if rows else NOTHING)
    return 0


def history(context: Context) -> int:
    """How objectives changed, and the budgets day by day."""
    from tidegauge.service.budgets import budget_days
    from tidegauge.service.objectives import history as versions_of

    only = context.args.intent
    with context.existing_store() as store, store.read() as tx:
        versions = [row for row in versions_of(tx) if only is None or row["intent"] == only]
        days = budget_days(tx, only)
    if context.args.json:
        print_json({"objectives": versions, "budgets": days})
    else:
        print_text(show.history_lines(versions, days) if versions else NOTHING)
    return 0


def run(context: Context) -> int:
    from tidegauge.service.report import slo_rows, standing

    config = context.config()
    objectives = {name: config.objective(name).theta0 for name in ("*", *config.intents)}
    with context.existing_store() as store, store.read() as tx:
        rows = slo_rows(tx, objectives, config.slo)
        places = standing(tx)
    if context.args.json:
        print_json(rows)
    elif rows:
        print(show.slo_table(rows, places))
    else:
        print(NOTHING)
    breached = any(row["state"] == SloState.BREACH for row in rows)
    return BREACH if breached and context.args.fail_on_breach else 0
