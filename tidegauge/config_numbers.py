"""Numbers with their bounds, as the keys of tidegauge.yaml take them."""

from typing import Annotated

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
AboveZero = Annotated[float, msgspec.Meta(gt=0)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
"""A rate that something is tested against: at 0 or 1 there would be nothing to find out."""
