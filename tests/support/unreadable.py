"""Files that nobody may read, also where the tests run as root, whom permissions do not keep from it."""

import builtins
import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

_open = io.open


@contextmanager
def unreadable(*paths: Path) -> Iterator[None]:
    """Opening one of the files is denied, by whatever path."""
    denied = {path.stat().st_ino for path in paths}

    def guarded(file: Any, *args: Any, **names: Any) -> Any:
        try:
            inode = None if isinstance(file, int) else os.stat(file).st_ino
        except OSError:
            inode = None
        if inode in denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(file))
        return _open(file, *args, **names)

    with mock.patch.object(io, "open", guarded), mock.patch.object(builtins, "open", guarded):
        yield
