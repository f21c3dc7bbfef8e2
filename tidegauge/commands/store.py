"""`tidegauge store prune`."""

import msgspec

from tidegauge.commands import times
from tidegauge.commands.context import Context, note, print_json
from tidegauge.domain import DAY, SECOND, Micros
from tidegauge.errors import UsageError


def prune(context: Context) -> int:
    """Removes texts and rollups beyond retention, or says what that would be."""
    from tidegauge.service import retention

    args, config, now = context.args, context.config(), context.clock.now()
    texts = _span(args.older_than, config.store.retention_days)
    rollups = _span(args.rollups_older_than, config.store.rollup_days)
    if texts is None and rollups is None:
        raise UsageError(
            "store prune: give --older-than or --rollups-older-than, such as 90d, or set store.retention_days"
            " or store.rollup_days"
        )
    found = retention.Pruned()
    with context.existing_store() as store:
        if texts is not None:
            found = (retention.preview if args.dry_run else retention.prune)(store, now - texts)
        if rollups is not None:
            before = retention.oldest_rollups(config, rollups, now)
            found.rollups = (retention.preview_rollups if args.dry_run else retention.prune_rollups)(store, before)
    if args.json:
        print_json(msgspec.structs.asdict(found))
        return 0
    verb = "would be" if args.dry_run else "were"
    note(
        f"the texts of {found.samples} samples and {found.quarantined} quarantined lines {verb} removed:"
        f" {found.bytes / 1e6:.1f} MB; and {found.cached} cached answers of judges, and {found.rollups} rows of rollups"
    )
    return 0


def _span(given: str | None, days: int | None) -> Micros | None:
    if given is not None:
        return int(times.seconds(given) * SECOND)
    return None if days is None else days * DAY
