"""`tidegauge run`."""

from tidegauge.commands import times
from tidegauge.commands.context import Context, note


def run(context: Context) -> int:
    args = context.args
    every = times.seconds(args.every) if args.every else None
    config = context.config()

    from pipelines import jobs

    with context.store() as store:
        summary = jobs.run(
            config,
            store,
            context.clock,
            final=args.final,
            every=every,
            logs=args.log,
            progress=jobs.to_stderr_as_json if args.json_logs else jobs.to_stderr,
        )
    if not args.json_logs:
        found = summary.status
        note(f"seen {found['seen']}, sampled {found['sampled']}, judged {found['judged']}, pending {found['pending']}")
        note("next: tidegauge status")
    return 0
