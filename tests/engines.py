"""The engines that tests run on, where `tidegauge engine install` has put them."""

import os
import socket
from pathlib import Path

import pytest

VARIABLE = "TIDEGAUGE_TEST_ENGINES"


def engines(*parts: str) -> Path:
    """The folder that has these parts, of `prism`, `kafka/lib`, `flink/lib`; skips loudly without it, fails in CI."""
    directory = os.environ.get(VARIABLE)
    missing = [part for part in parts if not directory or not (Path(directory) / part).exists()]
    if missing:
        message = f"{VARIABLE} names no folder with {', '.join(missing)}: this test did not run"
        if os.environ.get("TIDEGAUGE_CI"):
            pytest.fail(message)
        pytest.skip(message)
    return Path(directory or "").resolve()


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on, below those that the system gives to clients.

    Test processes side by side have ids side by side, and search far from each other.
    """
    for first in range(10_000 + os.getpid() * 997 % 15_000, 32_000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")
