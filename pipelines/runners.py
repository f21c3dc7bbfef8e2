"""What the stream runs on: Beam options for Prism, for Flink, and for any other runner."""

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx

from pipelines import leash
from tidegauge.config import FlinkSection, PrismSection, StreamSection
from tidegauge.errors import UsageError
from tidegauge.spelling import did_you_mean

_log = logging.getLogger("tidegauge")

_CONNECT_SECONDS = 5.0
_PRISM_SECONDS = 20.0
_INSTALLED = os.path.join(".engine", "prism")
"""Where `tidegauge engine install` puts it."""

_OWN_WORKER = {"process": json.dumps({"command": os.path.join(os.path.dirname(sys.executable), "tidegauge-worker")})}
"""The worker of this installation, which must lie at the same place where the task managers are."""

_QUIET = "--experiments=disable_logging_submission_environment"
"""Otherwise a submission asks pip for a list of packages, and pip may not be there."""


@contextmanager
def options(runner: str, section: StreamSection, further: Sequence[str] = ()) -> Iterator[list[str]]:
    """Complete Beam options, good until the end of the context. `further` wins over the configuration.

    Raises UsageError for a runner that is not there, with how to get it.
    """
    given = [*section.options, *further]
    match runner.lower():
        case "prism" | "prismrunner":
            with _prism(section.prism) as endpoint:
                yield [*_portable(endpoint), "--environment_type=LOOPBACK", *given]
        case "flink":
            yield [*_flink(section.flink), *given]
        case "dataflow":
            yield ["--runner=DataflowRunner", "--streaming", *given]
        case _:
            _check_name(runner)
            yield [f"--runner={runner}", "--streaming", *given]


def _check_name(runner: str) -> None:
    """Raises UsageError for a name that Beam has no runner of; the class path of one may be anybody's."""
    from apache_beam.options.pipeline_options import StandardOptions

    known = {name.lower().removesuffix("runner") for name in StandardOptions.KNOWN_RUNNER_NAMES}
    if "." not in runner and runner.lower().removesuffix("runner") not in known:
        hint = did_you_mean(runner.lower(), known, cutoff=0.6)
        other = "; write prism, flink, dataflow, or another by name or class path"
        raise UsageError(f"--runner: Beam has no {runner}{hint or other}")


@contextmanager
def _prism(section: PrismSection) -> Iterator[str]:
    """A Prism server on a free port. It ends with the context, also when this process is killed."""
    places = [os.path.expanduser(section.location)] if section.location else ["prism", _INSTALLED]
    program = next(filter(None, map(shutil.which, places)), None)
    if program is None:
        place = section.location or f"PATH and none at {_INSTALLED}"
        raise UsageError(
            f"prism: no such program at {place}; `tidegauge engine install prism` builds it, and "
            "stream.prism.location in tidegauge.yaml names another place"
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = [f"-job_port={port}", "-serve_http=false", "-log_level=error", "-log_kind=text"]
    command = [sys.executable, "-I", leash.__file__, os.path.abspath(program), *flags]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as server:  # noqa: S603
        _wait_for(port, server)
        yield f"localhost:{port}"


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PRISM_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise UsageError("prism: it does not take connections; what it said is above")


def _portable(endpoint: str) -> list[str]:
    return ["--runner=PortableRunner", "--streaming", f"--job_endpoint={endpoint}", _QUIET]


def _flink(section: FlinkSection) -> list[str]:
    _must_answer(section.job_endpoint)
    given = _portable(section.job_endpoint)
    if section.artifact_endpoint:
        given.append(f"--artifact_endpoint={section.artifact_endpoint}")
    given.append(f"--environment_type={section.environment.upper()}")
    if config := section.environment_config or _OWN_WORKER.get(section.environment):
        given.append(f"--environment_config={config}")
    return [
        *given,
        f"--parallelism={section.parallelism}",
        f"--sdk_worker_parallelism={section.parallelism}",
        f"--checkpointing_interval={round(section.checkpoint_seconds * 1000)}",
        # Without it a streaming job emits nothing at all, and says nothing about it.
        "--finish_bundle_before_checkpointing",
    ]


def cancel(runner: str, section: StreamSection, jobs: Sequence[str]) -> None:
    """Takes what is left of these jobs off a cluster that goes on without us. Their ticks have ended anyway."""
    rest = section.flink.rest
    if runner.lower() != "flink":
        return
    if rest is None:
        _log.warning(
            "stream.flink.rest is not set: jobs without ticks stay on the cluster until they are cancelled there"
        )
        return
    names = {job_name(job) for job in jobs}
    try:
        with httpx.Client(base_url=rest, timeout=_CONNECT_SECONDS) as flink:
            for job in flink.get("/jobs/overview").raise_for_status().json()["jobs"]:
                if job["name"] in names and job["end-time"] < 0:
                    flink.patch(f"/jobs/{job['jid']}", params={"mode": "cancel"}).raise_for_status()
    except (httpx.HTTPError, ValueError, KeyError) as error:
        _log.warning("flink at %s: could not cancel %s: %s", rest, ", ".join(sorted(names)), error)


def job_name(job: str) -> str:
    """What the engine's pages call a stream."""
    return f"tidegauge-{job}"


def _must_answer(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
            return
    except (OSError, ValueError) as error:
        raise UsageError(
            f"flink: no job server of Beam at {endpoint} ({error}); stream.flink.job_endpoint in tidegauge.yaml names "
            "it, and `tidegauge engine start flink` starts one on this machine"
        ) from None
