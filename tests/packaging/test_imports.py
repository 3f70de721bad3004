"""What importing costs: the modules that must not be there."""

from __future__ import annotations

import subprocess
import sys

import pytest

TABLES = {"numpy", "polars", "scipy"}
ENGINES = {"sglang", "tensorrt_llm", "torch", "transformers", "vllm"}
CHARTS = {"altair", "jinja2", "vl_convert"}
HEAVY = {*TABLES, *ENGINES, *CHARTS, "pynvml", "rich", "tokenizers", "uvloop"}


def imported(code: str) -> set[str]:
    """Return the top-level modules in a fresh interpreter after ``code``; stdout is its own."""
    program = f"{code}\nimport sys\nprint('MODULES', *{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import inferometer; inferometer.load", {*HEAVY, "click", "msgspec"}),
        ("import inferometer.engine, inferometer.meter, inferometer.renderer", HEAVY),
        ("from inferometer.cli import main; main(['--help'])", {*HEAVY, "msgspec"}),
        ("from inferometer.cli import main; main(['--version'])", {*HEAVY, "msgspec"}),
        ("from inferometer.cli import main; main(['plugins'])", HEAVY),
        ("from inferometer.cli import main; main(['engines', 'list'])", HEAVY),
        ("from inferometer.cli import main; main(['models', 'list'])", HEAVY),
        ("from inferometer.cli import main; main(['models', 'describe', '/absent'])", HEAVY),
        ("from inferometer.cli import main; main(['meters', 'list'])", HEAVY - {"pynvml"}),
        ("import inferometer.doctor.examination, inferometer.cli.doctor", HEAVY),
        ("from inferometer.cli import main; main(['plan', '/absent.toml'])", HEAVY),
        ("from inferometer.cli import main; main(['report', '/absent'])", HEAVY),
        ("from inferometer.cli import main; main(['compare', '/absent', '/absent'])", HEAVY),
        ("from inferometer.cli import main; main(['gate', '/absent', '--baseline', '/'])", HEAVY),
        ("from inferometer.cli import main; main(['status', '/absent'])", HEAVY),
        ("from inferometer.cli import main; main(['launch', '/absent'])", HEAVY),
        ("from inferometer.cli import main; main(['cost', '/absent'])", HEAVY),
        ("from inferometer.cli import main; main(['fleet', '/absent'])", HEAVY),
        ("from inferometer.cli import main; main(['simulate', 'fleet', '--help'])", HEAVY),
        ("import inferometer.numbers, inferometer.costwords", HEAVY | {"click"}),
        ("import inferometer.api", HEAVY),
        ("import inferometer.loadgen.worker", (HEAVY - {"uvloop"}) | {"click"}),
        ("import inferometer.bench.measure", {*TABLES, *ENGINES, "pynvml", "rich"}),
        ("import inferometer.runner", {*TABLES, *ENGINES, "pynvml"}),
        ("import inferometer.quickstart, inferometer.provenance", HEAVY),
        ("import inferometer.analyze", ENGINES | CHARTS | {"uvloop", "pynvml"}),
        ("import inferometer.notebook", ENGINES | CHARTS | {"uvloop", "pynvml", "scipy"}),
        ("import inferometer_reports.tables_csv", ENGINES | CHARTS | TABLES),
        ("import inferometer_reports.openmetrics", ENGINES | CHARTS | TABLES),
        ("import inferometer_reports.markdown", ENGINES | CHARTS | TABLES),
    ],
)
def test_what_an_import_does_not_bring(code: str, absent: set[str]) -> None:
    assert imported(code) & absent == set()


def test_help_imports_no_command() -> None:
    program = (
        "import sys; from inferometer.cli import main; main(['--help']);"
        "print(*[m for m in sys.modules if m.startswith('inferometer.cli.')])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == ""
