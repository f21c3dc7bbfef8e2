"""`tidegauge metrics`."""

import importlib.resources
import sys

from tidegauge.commands.context import Context


def run(context: Context) -> int:
    """The figures of the store, or the rules file."""
    if context.args.rules:
        rules = importlib.resources.files("tidegauge.telemetry").joinpath("rules.yaml")
        print(rules.read_text(encoding="utf-8"), end="")
        return 0
    from tidegauge.service.burning import Objectives
    from tidegauge.telemetry.prometheus import metrics_text

    config = context.config()
    with context.existing_store() as store:
        wanted = Objectives(config.slo, config.counted, config.as_objective)
        sys.stdout.write(metrics_text(store, wanted, context.clock.now()).decode())
    return 0
