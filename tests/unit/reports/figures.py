"""The whole numbers that the small comparison is built from."""

from __future__ import annotations

from inferometer.comparison import Architecture, Kind, Value

TOKENS = "output_tok_s"
JOULES = "energy_j_per_output_token"
DOLLARS = "bill_usd_per_mtok_output"
POINT = ("chat", "8 streams")
MODELS: dict[Architecture, str] = {"dense": "smol-135m", "moe": "smol-135m-moe"}

# Output tok/s per architecture and stack; everything else follows from these.
SPEEDS: dict[Architecture, dict[str, float]] = {
    "dense": {"vllm": 200.0, "transformers": 160.0},
    "moe": {"vllm": 63.0, "transformers": 62.0},
}
WATTS = 50.0
PRICE_USD_PER_HOUR = 0.36


def value(number: float, unit: str, kind: Kind = "measured", *, half: float = 0.04) -> Value:
    """A value over three launches whose interval is ``half`` of it on either side."""
    return Value(
        value=number,
        unit=unit,
        kind=kind,
        n=3,
        low=number * (1 - half),
        high=number * (1 + half),
    )


def absent(unit: str, reason: str, kind: Kind = "measured") -> Value:
    return Value(value=None, unit=unit, kind=kind, reason=reason)
