"""The process in which a plugin is checked: ``python -m inferometer.testing.plugins.process``.

It reads a target from stdin and tells every result as a line of JSON, on what stdout was when it
began. Whatever the plugin prints goes to stderr.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from inferometer.plugins import KINDS, Registry
from inferometer.testing.plugins import whole
from inferometer.testing.plugins.kits import KITS, no_kit
from inferometer.testing.plugins.target import Target, Told

if TYPE_CHECKING:
    from inferometer.testing.check import Result


def main() -> None:
    """Check what stdin names."""
    target = msgspec.json.decode(sys.stdin.buffer.read(), type=Target)
    out = os.dup(1)
    os.dup2(2, 1)

    def tell(of: str, result: Result) -> None:
        os.write(out, msgspec.json.encode(Told(of=of, result=result)) + b"\n")

    sys.path[:0] = [target.folder, f"{target.folder}/src"] if target.folder else []
    points = target.entry_points()
    registry = Registry(points, only=[point.name for point in points])
    kit = whole.Kit(target, registry)
    for check in whole.CHECKS:
        tell("plugin", check.run(kit))
    for kind in KINDS:
        run = KITS.get(kind, no_kit)
        for name, thing in registry.things(kind).items():
            run(thing, target, partial(tell, f"{kind} {name}"))


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # whatever threads the plugin has left running
