"""`tidegauge attribute`."""

from typing import TYPE_CHECKING

import msgspec

from tidegauge import show
from tidegauge.commands.context import Context, print_json, print_text
from tidegauge.errors import UsageError

if TYPE_CHECKING:
    from tidegauge.service.attribution import Attribution
    from tidegauge.storage.store import Transaction


def run(context: Context) -> int:
    from tidegauge.service.attribution import attribute

    args = context.args
    with context.existing_store() as store, store.read() as tx:
        found = attribute(tx, args.intent, _deployment(context, tx))
    if args.json:
        print_json(msgspec.to_builtins(found))
    else:
        print_text(text(found))
    return 0


def _deployment(context: Context, tx: "Transaction") -> str:
    """The one that is named; else the one with a breach, the newest of them; else the one that came last."""
    from tidegauge.service import intents

    intent, given = context.args.intent, context.args.deployment
    known = tx.rows("deployments_of_intent", intent=intent)
    if not known:
        hint = intents.hint(intent, intents.known(tx, context.config()))
        raise UsageError(f"--intent {intent}: no request of it was read{hint}")
    if given and given not in {row["deployment"] for row in known}:
        raise UsageError(f"--deployment {given}: no request of {intent} was read of it; `tidegauge slo` shows the ids")
    if given:
        return str(given)
    breached = {row["deployment"] for row in tx.rows("breached_deployments", intent=intent)}
    return str(([row for row in known if row["deployment"] in breached] or known)[-1]["deployment"])


def text(found: "Attribution") -> str:
    lines = [
        f"{found.intent}, {show.deployment(found.deployment)}",
        found.said,
        f"Last good deployment: {show.deployment(found.against)}",
    ]
    if found.since:
        lines.append(f"Since {found.since}; the change lies between {found.since_low} and {found.since_high}")
    for one in found.concentrated:
        lines.append(
            f"{one.dimension} {one.value or '(none)'}: {show.percent(one.share_of_findings)} of the findings on "
            f"{show.percent(one.share_of_traffic)} of the traffic (p {one.p:.1g}, over all segments)"
        )
    for candidate in found.candidates[:3]:
        what = ", ".join(candidate.parts) or candidate.kind
        lines.append(f"weighed: {what}, probability {candidate.probability:.2f}")
    return "\n".join([*lines, f"From {found.positives} findings of reviewers."])
