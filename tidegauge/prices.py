"""What a token costs: the operator's prices first, then the public list that ships with genai-prices."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, time

from tidegauge.config import PriceSection

UNKNOWN = (math.nan, math.nan)

_PER_MILLION_TO_NANO = 1e9 / 1e6
_UNIT = 1_000


class Prices:
    """Prices by model, provider and day, remembered."""

    def __init__(self, configured: Sequence[PriceSection]) -> None:
        self._configured = sorted(configured, key=lambda p: p.valid_from)
        self._known: dict[tuple[str, str, date], tuple[float, float]] = {}

    def per_token(self, model: str, provider: str, day: date) -> tuple[float, float]:
        """Nano-dollars for an input and an output token; UNKNOWN for a model that nobody has a price for."""
        key = (model, provider, day)
        if key not in self._known:
            self._known[key] = self._own(model, day) or _public(model, provider, day)
        return self._known[key]

    def _own(self, model: str, day: date) -> tuple[float, float] | None:
        valid = [p for p in self._configured if p.model == model and p.valid_from <= day.isoformat()]
        if not valid:
            return None
        return valid[-1].input_per_million * _PER_MILLION_TO_NANO, valid[-1].output_per_million * _PER_MILLION_TO_NANO


def _public(model: str, provider: str, day: date) -> tuple[float, float]:
    """List price of the first tier; discounts for cached tokens and long contexts are not in a request log."""
    import genai_prices  # costs .1 s and most logs bring their own cost

    when = datetime.combine(day, time(), UTC)
    try:
        price = [
            genai_prices.calc_price(
                usage, model_ref=model, provider_id=provider or None, genai_request_timestamp=when
            ).total_price
            for usage in (
                genai_prices.Usage(input_tokens=_UNIT, output_tokens=0),
                genai_prices.Usage(input_tokens=0, output_tokens=_UNIT),
            )
        ]
    except LookupError:
        return UNKNOWN
    return float(price[0]) / _UNIT * 1e9, float(price[1]) / _UNIT * 1e9
