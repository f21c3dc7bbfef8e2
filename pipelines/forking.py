"""Where workers are forked from: a process of its own that has imported everything once. Light to import itself."""

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext


def context() -> ForkServerContext:
    """Processes of it start in some hundredths of a second once the imports are made, which begin here."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["pipelines.warm"])
    forkserver.ensure_running()
    return made
