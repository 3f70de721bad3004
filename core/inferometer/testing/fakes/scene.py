"""What a fake engine server is set up with, and what it can be told while it runs."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """How a running fake answers from now on."""

    tokens_per_chunk: int = 1
    empty_text_every: int = 0
    hold: bool = False
    """Streams wait before their last event until this is taken back, or the client goes."""
    cached: int = 0
    """Prompt tokens of each request that are told as cached."""
    fault: Literal["", "error", "overload", "status", "cut"] = ""
    """``error``: in the middle of a stream; ``overload``: in the engine's own way; ``status``: 503;
    ``cut``: the connection closes in the middle of a stream."""
    restarted: bool = False
    """Every counter begins at 0 once more."""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """One fake server. The words are those of ``Behaviour`` and of the adapter."""

    model: str
    """Path of the model's directory."""
    model_name: str
    files: str
    """Folder of the configuration files."""
    options: list[str]
    """Options that it knows, and ..."""
    settings: list[str]
    """... fields of its configuration file, by dotted path."""
    routes: list[str]
    """All that it serves, as ``GET /path``; empty: whatever is declared."""
    needs: dict[str, str]
    endpoint: str
    ready: list[str]
    metrics: str
    form: Literal["prometheus", "json"]
    drains: bool
    reset_method: str
    reset_path: str
    """Without its query; empty where there is no reset."""
    reset_done: str
    reset_refused: tuple[int, str]
    """Status and body while a request runs."""
    answers: dict[str, dict[str, Any]]
    """GET routes of the resolved configuration."""
    series: list[tuple[str, dict[str, str], str]]
    ranks: list[dict[str, str]]
    generating: list[str]
    starting: Literal["refused", "unavailable"]
    starting_headers: dict[str, str]
    error_shape: Literal["nested", "flat", "text", "detail"]
    unknown_fields: Literal[0, 400, 422]
    fields: list[str]
    usage: Literal["asked", "always"]
    token_ids: bool
    first_by_prefill: bool
    warm_up: tuple[int, int]
    unknown_option: str
    unknown_setting: str
    port_taken: str
    key_variable: str = ""
    key_flag: str = ""
    """What the path of a file with the key follows."""
    load_s: float = 0.0
    stubborn: bool = False
    """SIGTERM does nothing."""
    orphan: str = ""
    """Leave a child in a session of its own, and its number in this file."""
    scene: Scene = Scene()


def paths(value: Any, below: str = "") -> set[str]:
    """Return the dotted paths of a JSON object's fields."""
    if not isinstance(value, dict):
        return set()
    return {
        path
        for key, inner in value.items()
        for path in ({f"{below}{key}"} | paths(inner, f"{below}{key}."))
    }
