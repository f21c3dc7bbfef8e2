"""A Flink cluster on loopback with Beam's job server and a pool of Python workers before it."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

import httpx

from tidegauge.engine.processes import Process, Up, class_path, java, listens, up, wait_until

_READY_SECONDS = 180.0

_OPENED = ["lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent"]
_OPENED += ["util.concurrent.atomic", "util.concurrent.locks"]
_EXPORTED = ["java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5"]
_OPENS = [
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENED),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTED),
]
"""What Flink 1.16 reaches into and Java 17 has closed."""

_LIGHT = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
"""What flows through Flink is descriptions of work: the time of its optimizing compiler is hardly ever won back."""

_LOG4J = """rootLogger.level = WARN
rootLogger.appenderRef.c.ref = C
appender.c.name = C
appender.c.type = CONSOLE
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d %-5p %-40c{1} - %m%n
"""

_SETTINGS: dict[str, str | int] = {
    "jobmanager.rpc.address": "127.0.0.1",
    "jobmanager.bind-host": "127.0.0.1",
    "jobmanager.memory.process.size": "1024m",
    "taskmanager.bind-host": "127.0.0.1",
    "taskmanager.host": "127.0.0.1",
    "taskmanager.numberOfTaskSlots": 2,
    "parallelism.default": 1,
    "rest.address": "127.0.0.1",
    "rest.bind-address": "127.0.0.1",
    "heartbeat.timeout": 8000,
    "heartbeat.interval": 2000,
    "restart-strategy": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 1000,
    "restart-strategy.fixed-delay.delay": "1 s",
    "classloader.check-leaked-classloader": "false",
    "classloader.resolve-order": "parent-first",
    # Without its shell scripts a task manager wants to be told every part of its memory.
    "taskmanager.cpu.cores": 1,
    "taskmanager.memory.task.heap.size": "400m",
    "taskmanager.memory.task.off-heap.size": "0b",
    "taskmanager.memory.managed.size": "200m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "128m",
    "taskmanager.memory.jvm-overhead.max": "128m",
}


class Ports(NamedTuple):
    """All on loopback. The job server takes pipelines, REST shows Flink's page, the pool starts Python workers."""

    job: int = 28099
    artifact: int = 28098
    expansion: int = 28097
    rest: int = 28081
    rpc: int = 26123
    blob: int = 26124
    pool: int = 28500

    @classmethod
    def after(cls, first: int) -> "Ports":
        return cls(*range(first, first + 7))


class Flink:
    """`directory` is where `install` has put it; logs, checkpoints and process ids are under `work`."""

    def __init__(
        self, directory: Path, task_managers: int = 1, ports: Ports | None = None, work: Path | None = None
    ) -> None:
        self._lib = directory.resolve() / "flink" / "lib"
        self.work = (work or directory / "flink" / "work").resolve()
        self._conf = self.work / "conf"
        self.ports = ports or Ports()
        self.job_manager = Process("job-manager", self.work)
        self.task_managers = [Process(f"task-manager-{number + 1}", self.work) for number in range(task_managers)]
        self.job_server = Process("job-server", self.work)
        self.pool = Process("worker-pool", self.work)

    @property
    def parts(self) -> list[Process]:
        """Task managers that an earlier start has added are parts as well."""
        asked = {one.name for one in self.task_managers}
        found = sorted({path.stem for path in self.work.glob("task-manager-*.pid")} - asked)
        further = [Process(name, self.work) for name in found]
        return [self.job_manager, *self.task_managers, *further, self.job_server, self.pool]

    @property
    def rest(self) -> str:
        """Flink's page and REST interface."""
        return f"http://127.0.0.1:{self.ports.rest}"

    @property
    def section(self) -> dict[str, str]:
        """What `stream.flink` must say to use it."""
        return {
            "job_endpoint": f"127.0.0.1:{self.ports.job}",
            "artifact_endpoint": f"127.0.0.1:{self.ports.artifact}",
            "rest": self.rest,
            "environment": "external",
            "environment_config": f"127.0.0.1:{self.ports.pool}",
        }

    def start(self) -> None:
        """Starts what does not run, and returns when all slots are there. Raises EngineError."""
        path = class_path(self._lib, "flink")
        self._write_conf()
        self._start_job_manager(path)
        for number in range(len(self.task_managers)):
            self.start_task_manager(number)
        self._start_job_server()
        self.start_pool()
        wait_until(lambda: self._registered() >= len(self.task_managers), self.job_manager, _READY_SECONDS)

    def start_task_manager(self, number: int) -> None:
        """Also one that was killed."""
        process = self.task_managers[number]
        entry = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        resource = f"taskmanager.resource-id=tm{number + 1}-{time.time_ns()}"
        process.start(
            self._java(class_path(self._lib, "flink"), "-Xmx640m", entry, "-c", str(self._conf), "-D", resource)
        )

    def start_pool(self) -> None:
        """A worker of the pool is a process of its own, started by it for each environment that asks."""
        command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main"]
        programs = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
        self.pool.start([*command, f"--service_port={self.ports.pool}"], {"PATH": programs})
        wait_until(lambda: listens(self.ports.pool), self.pool, _READY_SECONDS)

    def stop(self) -> bool:
        """All of it, the clients before the servers; whether anything ran."""
        ran = [part.stop() for part in reversed(self.parts)]
        return any(ran)

    def status(self) -> list[Up]:
        return up(self.parts)

    def _start_job_manager(self, path: str) -> None:
        entry = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        mode = ["--executionMode", "cluster"]
        self.job_manager.start(self._java(path, "-Xmx512m", entry, "-c", str(self._conf), *mode))
        wait_until(lambda: listens(self.ports.rest), self.job_manager, _READY_SECONDS)

    def _start_job_server(self) -> None:
        entry, ports = "org.apache.beam.runners.flink.FlinkJobServerDriver", self.ports
        options = [f"--flink-master=127.0.0.1:{ports.rest}", f"--flink-conf-dir={self._conf}", "--job-host=127.0.0.1"]
        options += [f"--job-port={ports.job}", f"--artifact-port={ports.artifact}"]
        options += [f"--expansion-port={ports.expansion}", f"--artifacts-dir={self.work / 'artifacts'}"]
        path = _not_staged(self._lib, self.work)
        self.job_server.start(self._java(path, "-Xmx512m", entry, *options))
        wait_until(lambda: listens(ports.job), self.job_server, _READY_SECONDS)

    def _java(self, path: str, heap: str, *command: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={self._conf / 'log4j.properties'}"
        return [java(), heap, *_LIGHT, *_OPENS, log4j, "-cp", path, *command]

    def _write_conf(self) -> None:
        self._conf.mkdir(parents=True, exist_ok=True)
        settings = _SETTINGS | {
            "jobmanager.rpc.port": self.ports.rpc,
            "rest.port": self.ports.rest,
            "blob.server.port": self.ports.blob,
            "state.checkpoints.dir": f"file://{self.work}/checkpoints",
            "state.savepoints.dir": f"file://{self.work}/savepoints",
            "io.tmp.dirs": str(self.work / "tmp"),
        }
        (self.work / "tmp").mkdir(exist_ok=True)
        (self._conf / "flink-conf.yaml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
        (self._conf / "log4j.properties").write_text(_LOG4J)

    def _registered(self) -> int:
        try:
            found = httpx.get(f"{self.rest}/overview", timeout=5).json()
            return int(found["taskmanagers"])
        except (httpx.HTTPError, KeyError, ValueError):
            return 0


def _not_staged(lib: Path, work: Path) -> str:
    """A class path of the same jars that the job server does not take for the pipeline's.

    It would send them all with each submission, one by one, though the task managers have them: 20 s. It passes by what
    lies in a folder `gradle/wrapper` (PipelineResources.isStageable), and sees through symbolic links.
    """
    place = work / "gradle" / "wrapper"
    shutil.rmtree(place, ignore_errors=True)  # another release may have been installed meanwhile
    place.mkdir(parents=True)
    for jar in lib.glob("*.jar"):
        try:
            os.link(jar, place / jar.name)
        except OSError:  # another file system
            shutil.copyfile(jar, place / jar.name)
    return f"{place.resolve()}/*"
