"""`tidegauge tickets`."""

from tidegauge import show
from tidegauge.commands.context import Context, print_json


def run(context: Context) -> int:
    from tidegauge.service.incidents import deployment_fields
    from tidegauge.service.tickets import ticket_rows
    from tidegauge.storage import evidence

    with context.existing_store() as store, store.read() as tx:
        rows = ticket_rows(tx)
        names = sorted({str(row["subject"]["deployment"]) for row in rows if "deployment" in row["subject"]})
        found = evidence.deployments(tx, names)
        known = {name: deployment_fields(name, found) for name in found}
    if context.args.json:
        print_json(rows)
    elif rows:
        columns = ("id", "kind", "owner", "opened", "state", "subject")
        print(
            show.table(
                columns,
                [
                    (
                        row["id"],
                        row["kind"],
                        row["owner"],
                        row["opened_at"][:16],
                        row["state"],
                        show.subject(row["subject"], known),
                    )
                    for row in rows
                ],
            )
        )
    else:
        print("No tickets.")
    return 0
