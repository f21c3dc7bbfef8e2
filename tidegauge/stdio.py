"""stdout and stderr, whatever the program was started with: stdout is data, and stderr is for people."""

import io
import os
import select
import sys
from typing import TextIO


def prepare() -> None:
    """Both take any text, in every locale; what is closed leads nowhere, and no file that is opened takes its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - until the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def say(text: str) -> None:
    """To people. The work goes on where nobody listens, and where the disk that keeps what is said is full."""
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201
    except BrokenPipeError:
        lead_nowhere(sys.stderr)
    except OSError:
        pass


def nobody_reads() -> bool:
    """Whether who read stdout has left."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))


def lead_nowhere(stream: TextIO) -> None:
    """Python would complain once more when it closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
