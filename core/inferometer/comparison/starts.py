"""How a stack is started outside a study: lines to paste into a shell, and what to know of them."""

from __future__ import annotations

from msgspec import Struct


class Start(Struct, frozen=True, kw_only=True):
    """How one stack served one model, at port 8000.

    ``script`` is for bash and holds no secret; each of ``secrets`` is a variable that must be set
    before, else the command does not run.
    """

    stack: str
    model: str
    launch: str
    """The launch that was started so."""
    script: str
    places: dict[str, str]
    """Paths that exist on the measuring machine only: variable of the script -> what is there."""
    files: list[str] = []
    """Generated configuration that the script writes, by name."""
    secrets: list[str] = []
    notes: list[str] = []
    """What is not in the script, in sentences."""
