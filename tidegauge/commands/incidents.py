"""`tidegauge incidents`, and what may be done about one."""

from collections.abc import Mapping
from typing import Any

from tidegauge import show
from tidegauge.commands.context import Context, note, print_json, print_text


def run(context: Context) -> int:
    from tidegauge.service.incidents import incident_rows

    with context.existing_store() as store, store.read() as tx:
        rows = incident_rows(tx)
    if context.args.dead:
        rows = [row for row in rows if any(d["status"] == "failed" for d in row["deliveries"])]
    if context.args.json:
        print_json(rows)
    elif rows:
        print_text("\n\n".join(text(row) for row in rows))
    else:
        what = "dead letters" if context.args.dead else "incidents"
        print(f"No {what}. `tidegauge slo` shows the rates.")
    return 0


def text(row: Mapping[str, Any]) -> str:
    """One incident; how its webhook fared, and what may be done."""
    from tidegauge.service import words

    stage = f", rollback {row['stage']}" if row["stage"] else ""
    lines = [
        f"{row['id']}  {row['intent']}  {row['state']}{stage}  opened {row['opened_at']}",
        f"  deployment {show.deployment(row['deployment'])}",
        f"  last good  {show.deployment(row['last_good'])}",
        f"  {words.what(row)}",
    ]
    for delivery in row["deliveries"]:
        said = f"  {delivery['last_status']}" if delivery["last_status"] else ""
        dead = "  dead letter" if delivery["status"] == "failed" else ""
        lines.append(f"  webhook {delivery['id']}  {delivery['status']}  attempts {delivery['attempts']}{said}{dead}")
    lines += [f"  next: {step}" for step in words.next_steps(row)]
    return "\n".join(lines)


def approve(context: Context) -> int:
    return _act(context, "approve", "will be sent by the next run")


def cancel(context: Context) -> int:
    return _act(context, "cancel", "cancelled; nothing will be sent")


def resolve(context: Context) -> int:
    return _act(context, "resolve", "closed; a person has seen to it")


def replay(context: Context) -> int:
    return _act(context, "replay", "will be sent once more by the next run, with the same id")


def _act(context: Context, action: str, done: str) -> int:
    from tidegauge.service import incidents
    from tidegauge.service.protocol import BY_COMMAND

    args = context.args
    why = (args.why or "").strip() or BY_COMMAND
    with context.existing_store() as store, store.write() as tx:
        getattr(incidents, action)(tx, args.incident, context.who(), why, context.clock.now())
    note(f"{args.incident}: {done}")
    return 0
