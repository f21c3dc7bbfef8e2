"""Which names are known: a typing error must not freeze, sample or rehearse something that does not exist."""

from collections.abc import Iterable

from tidegauge.config import Config
from tidegauge.errors import UsageError
from tidegauge.service.words import plain
from tidegauge.spelling import nearest
from tidegauge.storage import evidence
from tidegauge.storage.store import Transaction

UNSEEN = "--unseen"
_LISTED = 8


def configured(config: Config) -> list[str]:
    """The intents that the configuration or its objectives name."""
    return sorted({*config.intents, *(slo.intent for slo in config.slos)} - {"*"})


def all_of(tx: Transaction, named: Iterable[str]) -> list[str]:
    """The intents of the log, and those that are named besides."""
    return sorted({*(row["intent"] for row in tx.rows("intents_of_segments")), *named})


def known(tx: Transaction, config: Config) -> list[str]:
    """The intents of the log, and those that the configuration or its objectives name."""
    return all_of(tx, configured(config))


def check(tx: Transaction, config: Config, intents: Iterable[str], where: str) -> None:
    """Raises UsageError for the first intent that nobody knows; `where` begins its message."""
    names = known(tx, config)
    for intent in intents:
        if intent not in names:
            raise UsageError(unknown(where, intent, names, UNSEEN))


def unknown(where: str, intent: str, names: list[str], escape: str) -> str:
    """What is said of an intent that nobody knows, and how to ask for it all the same."""
    return (
        f"{where} {plain(intent)}: no request of it was read and the configuration does not name it"
        f"{hint(intent, names)}; if it is still to come, add {escape}"
    )


def check_deployment(tx: Transaction, deployment: str, where: str) -> None:
    """Raises UsageError for a deployment of which nothing was read."""
    if deployment not in evidence.deployments(tx, [deployment]):
        raise UsageError(
            f"{where} {plain(deployment)}: no request of this deployment was read; `tidegauge slo --json` shows "
            f"the ids; if it is still to come, add {UNSEEN}"
        )


def hint(given: str, names: list[str]) -> str:
    """The nearest name; where none is near, those that there are. Names of the log are shown on one line."""
    if not names:
        return "; no intent is known yet"
    near = nearest(given, names)
    if near:
        return f"; did you mean {plain(near)}?"
    more = len(names) - _LISTED
    return f"; there are {', '.join(map(plain, names[:_LISTED]))}" + (f" and {more} more" if more > 0 else "")
