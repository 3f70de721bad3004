"""Which of the machine's accelerators the flags of a runtime give to a container.

A runtime that is told ``--gpus device=2,3`` gives these two, which are numbered anew inside, from 0
and in the machine's order. So a number in ``CUDA_VISIBLE_DEVICES`` inside is another than the same
number outside, where meters look. Without such a flag a container is given all, and numbers agree.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OURS = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "ROCR_VISIBLE_DEVICES")
"""Variables of ours that choose accelerators, inside as outside where a container is given all."""
CDI = "nvidia.com/gpu="
"""What names a GPU for ``--device``: a number, a UUID or ``all`` follows."""
ALL = ("all", "-1")
MOST = 1024
"""More GPUs than a machine has: asked for so many, all are given."""


def flagged(flags: Sequence[str]) -> bool:
    """Say whether the flags give GPUs at all, in words that are understood here or not."""
    devices = _values(flags, ("--device",))
    return any(_values(flags, ("--gpus",))) or any(one.startswith(CDI) for one in devices)


def chosen(flags: Sequence[str]) -> tuple[str, ...] | None:
    """Return the numbers or UUIDs of the GPUs that the flags give; None: all of the machine's."""
    names = [name.strip() for name in _given(flags) if name.strip()]
    if not names or any(name in ALL for name in names):
        return None
    numbers = sorted({int(name) for name in names if name.isdecimal()})
    rest = [name for name in dict.fromkeys(names) if not name.isdecimal()]
    return (*map(str, numbers), *rest)


def handed(flags: Sequence[str]) -> tuple[str, ...]:
    """Return the variables of ours that are handed on: none where the flags choose the devices."""
    return OURS if chosen(flags) is None else ()


def variables(flags: Sequence[str]) -> dict[str, str]:
    """Return the variables that the flags set in the container."""
    words = (word.partition("=") for word in _values(flags, ("--env", "-e")))
    return {name: value for name, equals, value in words if equals}


def outside(flags: Sequence[str], visible: str | None) -> str | None:
    """Return what an engine sees, in the machine's own numbers; None: all of them.

    ``visible`` is what its variable says inside. Where several GPUs are given and not all of them
    by number, their order inside is not known: a part of them by number is returned as words that
    name no GPU.
    """
    names = chosen(flags)
    if names is None or visible is None:
        return visible if names is None else ",".join(names)
    words = [word.strip() for word in visible.split(",")]
    if {*words} == {str(number) for number in range(len(names))}:
        return ",".join(names)
    known = len(names) == 1 or all(name.isdecimal() for name in names)
    found = []
    for word in words:
        if not word.isdecimal():
            found.append(word)  # a UUID is the same on both sides
        elif not known:
            return f"{word} of {' '.join(names)}"
        elif int(word) < len(names):
            found.append(names[int(word)])
        else:  # runtimes stop at the first wrong name
            break
    return ",".join(found)


def _given(flags: Sequence[str]) -> Iterator[str]:
    for value in _values(flags, ("--gpus",)):
        yield from _requested(value)
    for value in _values(flags, ("--device",)):
        if value.startswith(CDI):
            yield value.removeprefix(CDI)


def _requested(value: str) -> Iterator[str]:
    """Yield the names in a value of ``--gpus``: ``all``, ``2`` or ``"device=0,1"``, as CSV.

    A number of GPUs means the first ones.
    """
    for part in next(csv.reader([value]), []):
        key, equals, listed = part.partition("=")
        if key == "device":
            yield from listed.split(",")
        elif not equals or key == "count":
            count = listed if equals else key
            many = int(count) if count.isdecimal() else MOST
            yield from map(str, range(many)) if many < MOST else ALL[:1]


def _values(flags: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """Yield the values of flags, as one word with ``=`` or as two."""
    before = ""
    for word in flags:
        name, equals, value = word.partition("=")
        if before in names:
            yield word
            before = ""
        elif name in names and equals:
            yield value
        else:
            before = word
