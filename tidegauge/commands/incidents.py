"""`tidegauge incidents`, and what may be done about one."""

from collections.abc import Mapping
from typing import Any

from tidegauge import show
from tidegauge.commands.context import Context, note, print_json


def run(context: Context) -> int:
    from tidegauge.service.incidents import incident_rows

    with context.store() as store, store.read() as tx:
        rows = incident_rows(tx)
    if context.args.json:
        print_json(rows)
    elif rows:
        print("\n\n".join(text(row) for row in rows))
    else:
        print("No incidents. `tidegauge slo` shows the rates.")
    return 0


def text(row: Mapping[str, Any]) -> str:
    """One incident; how its webhook fared, and what may be done."""
    lines = [
        f"{row['id']}  {row['intent']}  {row['state']}  opened {row['opened_at']}",
        f"  deployment {show.deployment(row['deployment'])}",
    ]
    evidence = row["evidence"]
    if "rate" in evidence:
        lines.append(
            f"  rate {show.percent(evidence['rate'])} {show.interval(evidence.get('low'), evidence.get('high'))}"
        )
    for delivery in row["deliveries"]:
        lines.append(f"  webhook {delivery['id']}  {delivery['status']}  attempts {delivery['attempts']}")
        if delivery["status"] == "held":
            lines.append(f"  next: tidegauge incidents approve {row['id']}, or cancel")
    return "\n".join(lines)


def approve(context: Context) -> int:
    return _act(context, "approve", "will be sent by the next run")


def cancel(context: Context) -> int:
    return _act(context, "cancel", "cancelled; nothing will be sent")


def replay(context: Context) -> int:
    return _act(context, "replay", "will be sent once more by the next run, with the same id")


def _act(context: Context, action: str, done: str) -> int:
    from tidegauge.service import incidents

    who = context.environ.get("USER", "operator")
    with context.store() as store, store.write() as tx:
        getattr(incidents, action)(tx, context.args.incident, who, "by command", context.clock.now())
    note(f"{context.args.incident}: {done}")
    return 0
