"""Makes a results directory with whatever version of Inferometer is on ``PYTHONPATH``.

    git worktree add OLD COMMIT
    PYTHONPATH=OLD/core:OLD/engines:OLD/plugins:OLD/reports python make.py WORK NAME [WORD ...]

``WORK/model`` is a model's directory. The oracle stands in for two engines, of which the first is
about twice as fast. ``NAME.json`` is the verdict that this version gave, ``NAME.tar.xz`` the
directory: what ``tests/unit/core/test_old_stores.py`` reads. A WORD ``table:LINE`` is a line of
further tables of the study, ``protocol:LINE`` one of its ``[protocol]``.
"""

from __future__ import annotations

import importlib
import json
import sys
import tarfile
import types
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import inferometer
from inferometer import study as studies
from inferometer.analyze import analyze
from inferometer.engine import Command, Readiness, Unsupported
from inferometer.hooks import GROUP, hookimpl
from inferometer.plugins import Registry
from inferometer.progress import Silent
from inferometer.runner import run

STUDY = """name = "golden"
[protocol]
rounds = {rounds}
window_s = 1.0
discard_s = 0.2
{protocol}

[price]
usd_per_hour = 2.0
source = "made up"
date = "2026-11-01"
contract = "assumed"
{tables}
[[engines]]
name = "oracle"
python = "{python}"
extra_args = ["--itl-ms", "4"]

[[engines]]
name = "oracle"
python = "{python}"
extra_args = ["--itl-ms", "8"]

[[models]]
name = "dense"
path = "{models}"

[[workloads]]
name = "short"
input_tokens = 32
output_tokens = 8

[[loads]]
concurrency = 2

[[meters]]
name = "declared"
options = {{ power_w = 50 }}
"""


READINESS = Readiness(path="/health", deadline_s=20.0)


@dataclass(frozen=True)
class Oracle:
    """The adapter of versions that bring none."""

    name: str = "oracle"
    distributions: tuple[str, ...] = ("inferometer",)
    takes: str = "ids"
    endpoint: str = "/v1/completions"
    readiness: Readiness = READINESS
    failures: tuple[Any, ...] = ()
    resolved_configuration: tuple[str, ...] = ("/v1/models",)

    def requirements(self, platform: Any) -> Any:
        raise Unsupported(f"oracle: nothing to install on {platform}")

    def command(self, context: Any) -> Command:
        where = ("--port", str(context.port), "--model", context.model_name)
        words = context.spec.extra_args
        return Command(
            argv=(str(context.python), "-m", "inferometer.testing.oracle", *where, *words)
        )

    def request(self, completion: Any) -> dict[str, Any]:
        return {
            "model": completion.model,
            "prompt": list(completion.prompt_ids),
            "max_tokens": completion.output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }


@hookimpl
def inferometer_engines() -> list[Any]:
    """Return the stand-in."""
    return [Oracle()]


def registry() -> Registry:
    """Return the installed plugins and an oracle, this version's where it brings one."""
    try:
        bundled: Registry = importlib.import_module("inferometer.testing.engine").registry()
    except ImportError:
        module = types.ModuleType("golden_oracle")
        module.inferometer_engines = inferometer_engines  # type: ignore[attr-defined]
        sys.modules["golden_oracle"] = module
        own = EntryPoint(name="oracle", value="golden_oracle", group=GROUP)
        return Registry([*entry_points(group=GROUP), own])
    return bundled


def not_looked() -> None:
    """Leave out whether the machine was quiet: where this is made it need not be."""
    for name, module in list(sys.modules.items()):
        if name.startswith("inferometer.") and hasattr(module, "bystanders"):
            module.__dict__["bystanders"] = lambda window, _: window


def verdict(results: Path) -> dict[str, Any]:
    """Return what a version says of each ranking: places, values, and the ratio of the second."""
    comparison = analyze(results)
    found: dict[str, Any] = {}
    for ranking in comparison.rankings:
        key = f"{ranking.objective} {ranking.model}"
        found.setdefault(
            key,
            [
                {
                    "stack": entry.stack,
                    "place": entry.place,
                    "value": entry.value.value,
                    "ratio": entry.ratio_to_best.value,
                }
                for entry in ranking.entries
            ],
        )
    return found


def main() -> None:
    """Measure, judge, pack."""
    work, name, *words = Path(sys.argv[1]), sys.argv[2], *sys.argv[3:]
    protocol = [word.removeprefix("protocol:") for word in words if word.startswith("protocol:")]
    tables = [word.removeprefix("table:") for word in words if word.startswith("table:")]
    text = STUDY.format(
        python=sys.executable,
        models=work / "model",
        rounds=3 if "table:[sequential]" in words else 2,
        protocol="\n".join(protocol),
        tables="\n".join(tables),
    )
    results = work / name
    not_looked()
    done = run(studies.parse(text, "study.toml"), text, results, registry(), Silent())
    sys.stdout.write(f"{inferometer.__file__}: {done}\n")
    (work / f"{name}.json").write_text(json.dumps(verdict(results), indent=1) + "\n")
    with tarfile.open(work / f"{name}.tar.xz", "w:xz") as archive:
        archive.add(results, name)


if __name__ == "__main__":
    main()
