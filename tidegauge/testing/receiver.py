"""A receiver of webhooks on loopback that checks Standard Webhooks signatures."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from standardwebhooks import Webhook, WebhookVerificationError

from tidegauge.testing.loopback import Call, LoopbackServer


@dataclass(frozen=True)
class Reply:
    """What the receiver answers. `delay` in seconds; `reset` breaks the connection after the body was read."""

    status: int = 200
    retry_after: str | None = None
    location: str | None = None
    delay: float = 0.0
    reset: bool = False


@dataclass(frozen=True)
class Delivery:
    """One request as it came in. `verified`: the signature is right and the timestamp is within 5 minutes of now."""

    webhook_id: str
    headers: dict[str, str]
    body: bytes
    verified: bool


class WebhookReceiver(LoopbackServer):
    """Takes every POST. `replies` are used one a request; when they end everything is answered with 200."""

    def __init__(self, secret: str, *, replies: Iterable[Reply | int] = ()) -> None:
        self.deliveries: list[Delivery] = []
        self._webhook = Webhook(secret)
        self._replies: Iterator[Reply | int] = iter(replies)
        super().__init__()

    @property
    def hook(self) -> str:
        """The URL to send to."""
        return f"{self.url}/rollback"

    def verify(self, body: bytes, headers: dict[str, str]) -> bool:
        try:
            self._webhook.verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError):
            return False
        return True

    def respond(self, call: Call) -> None:
        verified = self.verify(call.body, call.headers)
        with self.lock:
            self.deliveries.append(Delivery(call.headers.get("webhook-id", ""), call.headers, call.body, verified))
            scripted = next(self._replies, 200)
        reply = Reply(scripted) if isinstance(scripted, int) else scripted
        time.sleep(reply.delay)
        if reply.reset:
            call.reset()
            return
        headers = {"retry-after": reply.retry_after, "location": reply.location}
        call.send(reply.status, b"{}", {n: v for n, v in headers.items() if v is not None})
