"""Deliveries that are due: claimed before they are tried, so that two processes do not try the same one at once."""

from tidegauge.domain import DeliveryState, Micros, Value
from tidegauge.storage.store import Transaction


class Delivery(Value, frozen=True, kw_only=True):
    """A stored webhook; its id is the webhook-id of every attempt, its body is sent byte for byte."""

    delivery: str
    incident: str
    body: bytes
    attempts: int
    due_since: Micros


def claim(tx: Transaction, owner: str, now: Micros, until: Micros, most: int) -> list[Delivery]:
    """Takes due deliveries of intents that are not stopped; a claim whose owner dies is due again at `until`."""
    rows = tx.rows("claim_deliveries", owner=owner, now=now, until=until, most=most)
    return [Delivery(**{**row, "body": bytes(row["body"])}) for row in sorted(rows, key=lambda r: str(r["delivery"]))]


def record(
    tx: Transaction, delivery: Delivery, owner: str, *, state: DeliveryState, said: str, due_at: Micros, now: Micros
) -> None:
    """What came of an attempt. Of a claim that was lost meanwhile only a success counts; what is cancelled stays so."""
    tx.run(
        "record_attempt",
        delivery=delivery.delivery,
        owner=owner,
        state=state.value,
        due_at=due_at,
        delivered_at=now if state is DeliveryState.DELIVERED else None,
        last_status=said,
    )
