"""Checks of what importing a meter's module costs: in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.testing.check import applies, check, checks_of, need
from inferometer.testing.meters.kit import Kit

if TYPE_CHECKING:
    from inferometer.testing.check import Check

DRIVERS = ("amdsmi", "aioipmi", "pynvml", "pyipmi", "pyrsmi", "pysnmp", "redfish", "zeus")
"""Modules that drive sensors: they may be missing, and are asked for when the meter is."""
HEAVY = (*DRIVERS, "jax", "matplotlib", "numpy", "pandas", "polars", "scipy", "torch")
CPU_S = 0.5
"""Generous: the slowest machine counts."""
PROGRAM = """
import importlib, importlib.util, json, sys, threading, time
name, path, drivers, answer = json.loads(sys.argv[1])
sys.path[:] = path
import inferometer, inferometer.errors, inferometer.meter, inferometer.records, msgspec
class Missing:
    def find_spec(self, wanted, *_):
        if wanted.partition(".")[0] in drivers:
            raise ModuleNotFoundError("no module named " + wanted, name=wanted)
sys.meta_path.insert(0, Missing())
found = {"there": False, "error": "", "modules": [], "threads": 0, "cpu_s": 0.0}
try:
    found["there"] = importlib.util.find_spec(name) is not None
    began = time.process_time()
    if found["there"]:
        importlib.import_module(name)
    found["cpu_s"] = time.process_time() - began
except Exception as error:
    found["error"] = type(error).__name__ + ": " + str(error)
found["threads"] = threading.active_count() - 1
found["modules"] = sorted({m.partition(".")[0] for m in sys.modules})
with open(answer, "w") as file:
    json.dump(found, file)
"""


@check
def imports_without_its_driver(kit: Kit) -> None:
    """Its module can be imported where the sensor's own library is missing."""
    found = _imported(kit, DRIVERS)
    need(not found["error"], found["error"])


@check
def importing_costs_little(kit: Kit) -> None:
    """Importing it brings no driver and no library of arrays or tables, and takes a moment."""
    found = _imported(kit, ())
    brought = [each for each in HEAVY if each in found["modules"]]
    need(not brought, f"brings {', '.join(brought)}: import it in info and open")
    need(found["cpu_s"] <= CPU_S, f"{found['cpu_s']:.2f} s of CPU time")


@check
def importing_does_nothing(kit: Kit) -> None:
    """Importing it prints nothing and starts no thread."""
    found = _imported(kit, ())
    need(not found["printed"], f"prints {found['printed'][:60]!r}")
    need(not found["threads"], f"starts {found['threads']} threads")


# -- inside ----------------------------------------------------------------------------------


def _imported(kit: Kit, missing: tuple[str, ...]) -> dict[str, Any]:
    module = type(kit.meter).__module__
    applies(module != "__main__", "it stands in no module")
    found = _asked(module, tuple(sys.path), missing)
    applies(found["there"] or found["error"], f"{module} is not importable by name")
    return found


@lru_cache
def _asked(module: str, path: tuple[str, ...], missing: tuple[str, ...]) -> dict[str, Any]:
    """Return what importing ``module`` does in a fresh interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        question = json.dumps([module, path, missing, str(answer)])
        line = [sys.executable, "-P", "-c", PROGRAM, question]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
        if not answer.is_file():
            error = f"the interpreter ended with {done.returncode}"
            return {"there": True, "error": error, "modules": [], "threads": 0, "printed": ""}
        return {**json.loads(answer.read_text()), "printed": done.stdout + done.stderr}


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
