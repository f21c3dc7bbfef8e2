"""`tidegauge stream`."""

import msgspec

from tidegauge.commands import times
from tidegauge.commands.context import Context, note
from tidegauge.commands.first_lines import refuse_folders
from tidegauge.commands.run import beside
from tidegauge.config import Config


def run(context: Context) -> int:
    args = context.args
    refuse_folders(args.log)
    config = context.config()
    if args.every:
        section = msgspec.structs.replace(config.stream, tick_seconds=times.seconds(args.every))
        config = msgspec.structs.replace(config, stream=section)
    _go(context, config)
    return 0


def _go(context: Context, config: Config) -> None:
    from pipelines import start
    from pipelines.stream import stream

    args = context.args
    with context.store() as store, beside(context, config, store):
        summary = stream(
            config,
            store,
            context.clock,
            args.runner,
            logs=args.log,
            options=args.options,
            progress=start.to_stderr_as_json if args.json_logs else start.to_stderr,
        )
    if not args.json_logs:
        found = summary.status
        note(f"seen {found['seen']}, sampled {found['sampled']}, judged {found['judged']}, pending {found['pending']}")
        note("all work in hand was done" if summary.drained else "stopped at once: the next job does what was in hand")
