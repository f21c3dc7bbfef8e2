"""`tidegauge tickets`."""

from tidegauge import show
from tidegauge.commands.context import Context, print_json


def run(context: Context) -> int:
    from tidegauge.service.tickets import ticket_rows

    with context.store() as store, store.read() as tx:
        rows = ticket_rows(tx)
    if context.args.json:
        print_json(rows)
    elif rows:
        columns = ("id", "kind", "subject", "owner", "opened", "state")
        print(
            show.table(
                columns,
                [
                    (
                        row["id"],
                        row["kind"],
                        ", ".join(f"{key} {value}" for key, value in row["subject"].items()),
                        row["owner"],
                        row["opened_at"],
                        row["state"],
                    )
                    for row in rows
                ],
            )
        )
    else:
        print("No tickets.")
    return 0
