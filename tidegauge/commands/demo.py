"""`tidegauge demo`."""

import os

from tidegauge.commands.context import Context
from tidegauge.errors import UsageError


def run(context: Context) -> int:
    from tidegauge.demo import demo

    args = context.args
    if args.days < 1 or args.requests < args.days:
        raise UsageError("--days and --requests: at least one day, and one request a day")
    demo.run(
        args.directory,
        seed=args.seed,
        regress=None if args.regress == "none" else args.regress,
        requests=args.requests,
        days=args.days,
        environ=os.environ,
        say=lambda text: print(text, flush=True),
    )
    return 0
