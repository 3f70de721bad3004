"""What a completion request says about its sampling, in any engine's words."""

from __future__ import annotations

from typing import Any


def endless(asked: dict[str, Any]) -> bool:
    """Say whether a request forbids its model to end early."""
    end = asked.get("max_tokens")
    return bool(
        asked.get("ignore_eos")
        or (end is not None and end in (asked.get("min_tokens"), asked.get("min_length")))
        or '"eos_token_id":-1' in _generation(asked)
    )


def greedy(asked: dict[str, Any]) -> bool:
    """Say whether the likeliest token is always to be taken."""
    return (
        asked.get("temperature") == 0
        or asked.get("top_k") == 1
        or '"do_sample":false' in _generation(asked)
    )


def _generation(asked: dict[str, Any]) -> str:
    return str(asked.get("generation_config", "")).replace(" ", "")
