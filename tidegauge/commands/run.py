"""`tidegauge run`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tidegauge import show
from tidegauge.commands import times
from tidegauge.commands.check import unsignable
from tidegauge.commands.context import Context, note
from tidegauge.commands.first_lines import no_file, refuse_folders
from tidegauge.errors import UsageError

if TYPE_CHECKING:
    from tidegauge.config import Config
    from tidegauge.storage.store import Store

_SURELY_SOME = 5
"""Expected samples from which on there is one, but in 1 of 150 logs."""


def run(context: Context) -> int:
    args = context.args
    every = times.seconds(args.every) if args.every else None
    if args.workers < 1:
        raise UsageError("--workers: at least 1")
    refuse_folders(args.log)
    config = context.config()
    if args.workers > 1:  # their imports take seconds: they begin beside ours
        from pipelines import forking

        forking.context()

    from pipelines import jobs, workers

    with context.store() as store, beside(context, config, store):
        before = quarantine(store)
        job = jobs.run if args.workers == 1 else partial(workers.run, workers=args.workers)
        summary = job(
            config,
            store,
            context.clock,
            final=args.final,
            every=every,
            logs=args.log,
            progress=jobs.to_stderr_as_json if args.json_logs else jobs.to_stderr,
        )
        refused = quarantine(store) - before
    if not args.json_logs:
        found = summary.status
        note(f"seen {found['seen']}, sampled {found['sampled']}, judged {found['judged']}, pending {found['pending']}")
        absent = [] if refused[""] else no_files(config, args.log)
        for line in (*absent, *misfits(refused, found["sampled"], config.sampling.rate)):
            note(f"warning: {line}")
        for name, row in found["evaluation"]["failing"].items():
            note(show.failing(name, row))
        if found["seen"]:
            note("next: tidegauge status")
        elif summary.stopped:
            note("stopped before anything was read; next: tidegauge run")
        else:
            note("no record was found; next: `tidegauge check` says what each source holds")
    return 0


def quarantine(store: "Store") -> Counter[str]:
    """Quarantined lines by reason, and all lines under an empty one."""
    with store.read() as tx:
        counts = Counter({"": int(tx.value("records_read") or 0)})
        for row in tx.rows("status_quarantine"):
            counts[row["reason"]] += int(row["records"])
    return counts


def no_files(config: "Config", logs: Sequence[str] | None) -> Iterator[str]:
    """Which sources of a run name no file; said where it read nothing, also on a store that holds something."""
    from pipelines.start import chosen_sources

    yield from filter(None, map(no_file, chosen_sources(config, logs)))


def misfits(counts: Counter[str], sampled: int, rate: float) -> Iterator[str]:
    """What is to be said of a log that hardly fits. `sampled`: of all that was ever read."""
    read, reasons = counts[""], [(reason, count) for reason, count in counts.most_common() if reason]
    lines = sum(count for _, count in reasons)
    told = f"{', '.join(f'{reason} {count}' for reason, count in reasons[:3])}; `tidegauge status` has examples"
    if 2 * lines > read:
        yield f"{lines} of {read} lines do not fit the request log: {told}"
    elif lines and not sampled and rate * read >= _SURELY_SOME:  # what only samples are checked for is wrong in all
        yield f"no request was sampled, and {lines} of {read} lines do not fit the request log: {told}"


@contextmanager
def beside(context: Context, config: "Config", store: "Store") -> Iterator[None]:
    """What goes on while the job runs: metrics over HTTP, and the export of verdicts. Says what it cannot do."""
    unsigned = unsignable(config, context.environ)
    if unsigned:
        note(f"warning: {unsigned}; no rollback can be sent")
    with ExitStack() as stack:
        if context.args.metrics_port is not None:
            from tidegauge.service.burning import Objectives
            from tidegauge.service.intents import configured
            from tidegauge.telemetry.server import MetricsServer

            wanted = Objectives(config.slo, config.counted, config.as_objective)
            host, port = context.args.metrics_host, context.args.metrics_port
            server = MetricsServer(store, wanted, context.clock, host, port, configured(config))
            stack.enter_context(server.serving())
            note(f"metrics: http://{host}:{server.port}/metrics")
        if config.telemetry.otlp_endpoint is not None:
            from tidegauge.telemetry.otlp import exporting

            stack.enter_context(exporting(store, config.telemetry, context.clock))
        yield
