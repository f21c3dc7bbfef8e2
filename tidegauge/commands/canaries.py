"""`tidegauge canaries`."""

from typing import Any

from tidegauge import show
from tidegauge.commands.context import Context, print_json, print_text

_NORMAL_95 = 1.96


def run(context: Context) -> int:
    from tidegauge.service.canary import canary_rows

    with context.existing_store() as store, store.read() as tx:
        rows = canary_rows(tx)
    if context.args.json:
        print_json(rows)
    elif rows:
        print_text(text(rows))
    else:
        print("No canary had traffic yet. They are named in tidegauge.yaml under `canaries`")
    return 0


def text(rows: list[dict[str, Any]]) -> str:
    header = ("canary", "deployment", "since", "state", "p95 slower by", "success lower by", "requests")
    cells = []
    for row in rows:
        seen = row["evidence"]
        cells.append(
            (
                row["name"],
                show.deployment(row["deployment"]),
                row["started_at"][:16],
                row["state"],
                _worse(seen["latency_p95_ms"], 1, " ms"),
                _worse(seen["success_drop"], 100, " points"),
                f"{seen['requests']['canary']} of {sum(seen['requests'].values())}",
            )
        )
    return show.table(header, cells)


def _worse(found: dict[str, Any], factor: float, unit: str) -> str:
    """With its 95 % interval, what is allowed, and whether it is proven that it is worse at all."""
    allowed = f"{found['margin'] * factor:g}{unit}"
    if found["worse_by"] is None:
        return f"unknown; allowed {allowed}"
    worse, spread = found["worse_by"] * factor, _NORMAL_95 * found["se"] * factor
    said = "proven" if found["proven"] else "not proven"
    return f"{worse:.1f} [{worse - spread:.1f}, {worse + spread:.1f}]; allowed {allowed}; {said}"
