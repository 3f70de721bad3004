"""What a run tells its nodes to do, and what they answer: JSON, for they may be other versions."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from inferometer.engine import Group, Setting
from inferometer.place import Place
from inferometer.plan import Launch, Plan
from inferometer.study import MeterEntry


class Survey(Struct, frozen=True, kw_only=True, tag="survey"):
    """Prepare everything, and say what the node is."""

    nonce: str
    """Name of a file beside the launches in flight, by which a node sees that it sees them."""
    processor: bool
    """Measure what the processor can do."""


class Tune(Struct, frozen=True, kw_only=True, tag="tune"):
    """Make the searches of the plan."""


class Measure(Struct, frozen=True, kw_only=True, tag="measure"):
    """Make one launch."""

    launch: Launch
    place: Place


class Follow(Struct, frozen=True, kw_only=True, tag="follow"):
    """Start the engine of a launch as one of its ranks but the first, until that one is over."""

    launch: Launch
    attempt: str
    group: Group


class Context(Struct, frozen=True, kw_only=True):
    """What all jobs of a run share, sent once."""

    version: str
    """Of Inferometer; a node that has another one refuses."""
    plan: Plan
    meters: tuple[MeterEntry, ...]
    results: str
    """The results directory, as this machine names it."""


class Job(Struct, frozen=True, kw_only=True):
    """One thing to do."""

    shared: bool = False
    """Whether the node writes into the results directory; else into its own cache."""
    what: Survey | Tune | Measure | Follow


class Surveyed(Struct, frozen=True, kw_only=True, tag="surveyed"):
    """What a node is."""

    host: dict[str, Any]
    host_sha256: str
    clock: dict[str, int]
    environments: dict[str, str | None]
    """Hash by stack; None: it cannot run there."""
    models: dict[str, str]
    """Hash by model and, of checkpoints, by ``stack/model``."""
    files: dict[str, str]
    """Hash of what work comes from, by path."""
    simulated: bool
    """Whether no engine is run at all."""
    sees: bool
    """Whether the results directory is seen from there, and can be written."""
    one_node: dict[str, str] = {}
    """Stacks whose engine is started on one node only, with the reason."""


class Tuned(Struct, frozen=True, kw_only=True, tag="tuned"):
    """What the searches found."""

    found: list[tuple[str, str, tuple[Setting, ...]]]
    """Stack, model and settings."""


class Measured(Struct, frozen=True, kw_only=True, tag="measured"):
    """A launch is whole, or failed; its record is in its folder."""

    status: Literal["ok", "failed"]
    folder: str = ""
    """Where on the node, if it does not write into the results directory."""


class Followed(Struct, frozen=True, kw_only=True, tag="followed"):
    """The engine of a rank has ended."""

    why: str = ""
    """Why it ended by itself; empty: the launch is over."""


class Refused(Struct, frozen=True, kw_only=True, tag="refused"):
    """What kept the node from doing it."""

    kind: Literal["usage", "machine", "interrupted", "bug"]
    message: str
    hint: str = ""


Answer = Surveyed | Tuned | Measured | Followed | Refused
decoder = msgspec.json.Decoder(Answer)
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding an answer may raise."""
