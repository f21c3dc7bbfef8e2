"""`tidegauge dump --canonical`."""

import sys

from tidegauge.commands.context import Context


def run(context: Context) -> int:
    from tidegauge.storage.dump import canonical

    with context.existing_store() as store, store.read() as tx:
        for line in canonical(tx):
            sys.stdout.buffer.write(line)
    return 0
