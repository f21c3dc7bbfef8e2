"""Every error that Tidegauge raises on purpose.

TidegaugeError            one line for the user: what, where, what to do; exit code 1
├── UsageError            wrong flags or arguments; exit code 2
├── ConfigError           tidegauge.yaml, a rubric or the environment says something that cannot be; exit code 2
│   ├── ObjectivesInvalid OpenSLO files cannot be used; every problem with file and line
│   └── ArtifactChanged   a released rubric or evaluator changed its content under the same version
├── StoreError            the store cannot be used as it is
│   ├── StoreTooNew       written by a newer version of the program
│   ├── StoreConflict     another transaction, or a timeout, ended this one: it may be tried again
│   └── StoreUnavailable  cannot be reached
│       └── StoreLost     the connection was lost in a transaction: it may be tried again
├── SourceError           a source cannot be read
│   ├── SourceChanged     the bytes of a planned range are not the bytes that were planned
│   └── SourceUnfinished  a compressed stream ends before its planned size
├── EngineError           an engine for development cannot be installed or does not run
└── DeliveryError         a webhook could not be delivered
"""

from collections.abc import Sequence


class TidegaugeError(Exception):
    exit_code = 1


class UsageError(TidegaugeError):
    exit_code = 2


class ConfigError(TidegaugeError):
    exit_code = 2


class ObjectivesInvalid(ConfigError):
    """`problems` has a line for each; the message is the first one."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = len(self.problems) - 1
        super().__init__(self.problems[0] + (f"; and {more} more, see tidegauge check" if more else ""))


class ArtifactChanged(ConfigError):
    pass


class StoreError(TidegaugeError):
    pass


class StoreTooNew(StoreError):
    pass


class StoreConflict(StoreError):
    pass


class StoreUnavailable(StoreError):
    pass


class StoreLost(StoreUnavailable):
    pass


class SourceError(TidegaugeError):
    pass


class SourceChanged(SourceError):
    pass


class SourceUnfinished(SourceError):
    pass


class DeliveryError(TidegaugeError):
    pass


class EngineError(TidegaugeError):
    pass
