"""`tidegauge verdict`: one intent, one deployment, one word."""

from tidegauge import show
from tidegauge.commands.context import Context, print_json, print_text

BREACH = 3


def run(context: Context) -> int:
    from tidegauge.service import intents
    from tidegauge.service.verdict import verdict

    args, config = context.args, context.config()
    with context.existing_store() as store, store.read() as tx:
        if not args.unseen:
            intents.check(tx, config, [args.intent], "verdict --intent")
        found = verdict(tx, config.slo, args.intent, args.deployment)
    if args.json:
        print_json(found)
    else:
        where = show.deployment(found["deployment"]) if "model_version" in found["deployment"] else "no deployment"
        print_text(f"{found['phase']}: {found['intent']} on {where}: {found['reason']}")
    return BREACH if args.fail_on_breach and found["phase"] == "failed" else 0
