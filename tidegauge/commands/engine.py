"""`tidegauge engine`."""

from pathlib import Path

import yaml

from tidegauge.commands.context import Context, note
from tidegauge.engine.flink import Flink
from tidegauge.engine.install import install as put_in_place
from tidegauge.engine.kafka import Kafka


def install(context: Context) -> int:
    args = context.args
    for engine in args.engines:
        print(put_in_place(engine, Path(args.dir), note))
    return 0


def start(context: Context) -> int:
    server = _server(context)
    server.start()
    if isinstance(server, Kafka):
        print(yaml.safe_dump({"sources": [{"kafka": server.bootstrap, "topics": "requests"}]}), end="")
    else:
        note(f"Flink's page: {server.rest}")
        section = server.section | {"parallelism": context.args.task_managers}
        print(yaml.safe_dump({"stream": {"flink": section}}), end="")
    return 0


def stop(context: Context) -> int:
    note("stopped" if _server(context).stop() else "nothing ran")
    return 0


def status(context: Context) -> int:
    """1 when something of it does not run."""
    parts = _server(context).status()
    for part in parts:
        print(f"{part.name:16} {f'runs, pid {part.pid}' if part.pid else 'does not run'}")
    return 0 if all(part.pid for part in parts) else 1


def _server(context: Context) -> Kafka | Flink:
    args = context.args
    directory = Path(args.dir)
    return Kafka(directory) if args.engine == "kafka" else Flink(directory, args.task_managers)
