"""`tidegauge sampling show|set|apply`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegauge import show as tables
from tidegauge.commands import times
from tidegauge.commands.context import Context, note, print_json
from tidegauge.domain import Micros, iso
from tidegauge.errors import UsageError

if TYPE_CHECKING:
    from tidegauge.storage.store import Store


def show(context: Context) -> int:
    from tidegauge.storage.sampling import plans

    with context.existing_store() as store, store.read() as tx:
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

    with context.existing_store() as store:
        intent = "" if args.intent == "*" else args.intent
        _check(context, store, [intent] if intent else [], "sampling set --intent")
        plan = set_rate(store, context.clock, args.rate, valid_from, intent, args.deployment, "sampling set")
    note(f"plan {plan.plan}: {plan.rate:g} from {_since(plan.valid_from)} on")
    return 0


def apply(context: Context) -> int:
    """A row for each intent of a plan, all from the same time on."""
    args = context.args
    rates = _rates(args.plan)
    valid_from = times.micros(args.valid_from) if args.valid_from else None

    from pipelines.sampling import set_rates

    with context.existing_store() as store:
        _check(context, store, rates, f"{args.plan}:")
        plans = set_rates(store, context.clock, rates, valid_from, f"sampling apply {args.plan.name}")
    note(f"plans {plans[0].plan} to {plans[-1].plan}: {len(plans)} intents from {_since(plans[0].valid_from)} on")
    return 0


def _check(context: Context, store: "Store", names: Iterable[str], where: str) -> None:
    """Raises UsageError for an intent or a deployment that nobody knows; --unseen allows it."""
    from tidegauge.service import intents

    args = context.args
    if args.unseen:
        return
    with store.read() as tx:
        intents.check(tx, context.config(), names, where)
        if getattr(args, "deployment", ""):
            intents.check_deployment(tx, args.deployment, "sampling set --deployment")


def _rates(path: Path) -> dict[str, float]:
    """Rates by intent: {"rows": [{"intent", "rate"}]}, or that under "plan"."""
    try:
        found: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: no JSON: {error}") from None
    plan = found.get("plan", found) if isinstance(found, dict) else None
    rows = plan.get("rows") if isinstance(plan, dict) else None
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"{path}: no plan: it has no rows of intent and rate; tidegauge power --json writes one")
    rates: dict[str, float] = {}
    for number, row in enumerate(rows, 1):
        intent, rate = (row.get("intent"), row.get("rate")) if isinstance(row, dict) else (None, None)
        if not isinstance(intent, str) or not intent or isinstance(rate, bool) or not isinstance(rate, int | float):
            raise UsageError(f"{path}: row {number}: needs the name of an intent and a rate between 0 and 1")
        if intent in rates:
            raise UsageError(f"{path}: row {number}: {intent} has a row already")
        rates[intent] = float(rate)
    return rates


def _since(time: Micros) -> str:
    return "the beginning" if time < 0 else iso(time)
