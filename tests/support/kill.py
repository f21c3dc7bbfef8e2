"""Death by SIGKILL at a chosen statement."""

import os
import signal

import sqlalchemy as sa


def die_at(statement: int, *, commits: bool = True) -> None:
    """Kills this process when it is about to send its n-th statement; `commits` count as statements."""
    left = statement

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    if commits:
        sa.event.listen(sa.Engine, "commit", count)
