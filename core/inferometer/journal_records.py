"""What a run says of itself while it goes on: the lines of ``events.jsonl``.

Times are nanoseconds of the wall clock: another process, on another day, reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from inferometer.numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FILE = "events.jsonl"
LATEST_NS = 1 << 63
LONGEST_S = 1e10
"""A line with a later moment or a longer launch is damaged."""
PASSING = {"stage", "note", "launch", "window"}
"""What is said of a launch while it goes on: of one that has ended it tells nothing more."""


class Process(Struct, frozen=True, kw_only=True):
    """Which process runs, so that another one can say whether it still does."""

    pid: int
    started: int
    """Clock ticks since the machine began, proc(5): a pid is used again, with another start."""
    boot: str
    """The kernel's id of this boot."""
    namespace: int
    """Of pids: in another container the same number is another process."""
    host: str
    """A hash of the machine's name: results name no machine."""


class Power(Struct, frozen=True, kw_only=True):
    """What one meter said over a window, W, its devices added up."""

    meter: str
    kind: str
    watts: float


class Figure(Struct, frozen=True, kw_only=True):
    """What the client and the meters saw in one window, at a glance; the analysis counts anew."""

    launch: str
    """Its id; that of a trial is in no plan."""
    stack: str
    model: str
    workload: str
    load: str
    seconds: float
    output_tps: float | None
    """Output tokens/s, those of an answer spread evenly from its first to its last; None where no
    answer gave any."""
    powers: list[Power] = []
    failed: int = 0
    """Requests that ended in an error."""
    simulated: bool = False
    """No engine was run."""


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. ``what`` says which of the other fields mean something.

    ``begun``: a run begins (``process``). ``stage``, ``note``, ``warning``: ``text``. ``launch``:
    one begins (``launch``, ``text``). ``window``: one is about to open (``seconds``; ``until_ns``,
    when it closes). ``measured``: one is over (``figure``). ``launched``: a launch ended
    (``launch``, ``status``, ``seconds``). ``ended``: the run ended (``status``, ``text``). Where
    several machines measure, ``node`` and ``launch`` say of which one all but the first and the
    last of these are.
    """

    t_ns: int
    what: Literal[
        "begun", "stage", "note", "warning", "launch", "window", "measured", "launched", "ended"
    ]
    text: str = ""
    launch: str = ""
    node: str = ""
    status: str = ""
    """Of a launch ``ok`` or ``failed``; of a run ``finished``, ``interrupted`` or ``failed``."""
    seconds: float = 0.0
    until_ns: int = 0
    process: Process | None = None
    figure: Figure | None = None


def read(root: Path) -> list[Event]:
    """Return what runs in ``root`` said of themselves; lines that cannot be read are left out.

    The last one may be half written: somebody may be writing it just now. A file that cannot be
    read says nothing; what is done and left is still known.
    """
    return list(_said(root))


def before(root: Path) -> list[Event]:
    """Return what a run that begins now needs of those before it; as :func:`read` reads.

    Without having held the rest, which is some kB a launch.
    """
    found: list[Event] = []
    last = None
    for event in _said(root):
        if last and (last.node or last.what not in PASSING or event.what == "begun"):
            found.append(last)
        last = event
    return found if last is None else [*found, last]


def needed(events: Sequence[Event], node: str = "", launch: str = "") -> list[Event]:
    """Return the events on which a later standing still depends, once a launch of a node has ended.

    A study has thousands of launches, and each of them is drawn some ten times.
    """
    last = len(events) - 1
    return [
        event
        for place, event in enumerate(events)
        if event.what not in PASSING
        or place == last
        or events[place + 1].what == "begun"
        or (event.node, event.launch if node else "") != (node, launch if node else "")
    ]


def _said(root: Path) -> Iterator[Event]:
    try:
        with (root / FILE).open("rb") as lines:
            yield from filter(None, map(_event, lines))
    except OSError:
        return


def _event(line: bytes) -> Event | None:
    try:
        event = msgspec.json.decode(line, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return event if abs(event.t_ns) < LATEST_NS and 0 <= event.seconds < LONGEST_S else None


def words(figure: Figure) -> str:
    """Return a window's figures in words: ``about 51.6 output tok/s, 40.0 W (rapl)``."""
    rate = figure.output_tps
    parts = ["no tokens" if rate is None else f"about {number(rate)} output tok/s"]
    if figure.simulated:
        parts[0] += " (simulated)"
    for power in figure.powers:
        known = power.kind in {"measured", power.meter}
        what = power.meter if known else f"{power.meter}, {power.kind}"
        parts.append(f"{number(power.watts)} W ({what})")
    if figure.failed:
        parts.append(f"{figure.failed} requests failed")
    return ", ".join(parts)
