"""`tidegauge store prune`."""

import msgspec

from tidegauge.commands import times
from tidegauge.commands.context import Context, note, print_json
from tidegauge.domain import DAY, SECOND
from tidegauge.errors import UsageError


def prune(context: Context) -> int:
    """Removes texts beyond retention, or says what that would be."""
    from tidegauge.service import retention

    args, days = context.args, context.config().store.retention_days
    if args.older_than is None and days is None:
        raise UsageError("store prune: give --older-than, such as 90d, or set store.retention_days")
    span = int(times.seconds(args.older_than) * SECOND) if args.older_than else (days or 0) * DAY
    before = context.clock.now() - span
    with context.store() as store:
        found = retention.preview(store, before) if args.dry_run else retention.prune(store, before)
    if args.json:
        print_json(msgspec.structs.asdict(found))
        return 0
    verb = "would be" if args.dry_run else "were"
    note(
        f"the texts of {found.samples} samples and {found.quarantined} quarantined lines {verb} removed:"
        f" {found.bytes / 1e6:.1f} MB"
    )
    return 0
