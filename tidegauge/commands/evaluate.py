"""`tidegauge evaluate FILE --out FILE`: no store is touched."""

from pathlib import Path

from tidegauge import config_load
from tidegauge.commands.context import Context, note, print_json
from tidegauge.config import Config


def run(context: Context) -> int:
    from evaluators.build import build_cascade
    from evaluators.files import evaluate_file

    args, config = context.args, _config(context)
    cascade = build_cascade(config)
    report = evaluate_file(args.file, args.out, cascade, args.labels)
    if args.labels or report["bad"]:
        print_json(report)
    note(f"wrote {args.out}")
    return 0


def _config(context: Context) -> Config:
    """The file where there is one; the evaluators work without."""
    if context.args.config is None and not Path(config_load.DEFAULT_NAME).exists():
        return config_load.defaults(Path(), context.environ)
    return context.config()
