"""The registry, fed with real distributions written into a folder on ``sys.path``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferometer.errors import UsageError
from inferometer.plugins import VARIABLE, Registry, Row

Install = Callable[..., None]
METER = """
from types import SimpleNamespace
from inferometer import hookimpl

@hookimpl
def inferometer_meters():
    yield SimpleNamespace(name="{name}", options={{}}, info=None, open=None)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write ``stranger_<name>.py`` and the metadata of a distribution that names it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, source: str) -> None:
        (tmp_path / f"stranger_{name}.py").write_text(source)
        info = tmp_path / f"stranger_{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: stranger-{name}\nVersion: 1.2\n"
        )
        (info / "entry_points.txt").write_text(f"[inferometer]\n{name} = stranger_{name}\n")

    yield write
    for module in [name for name in sys.modules if name.startswith("stranger_")]:
        del sys.modules[module]


def problem(source: str, install: Install) -> str:
    """Return the one problem that a plugin with this source causes, beside a sound one."""
    install("bad", source)
    install("good", METER.format(name="sound"))
    registry = Registry(only=["bad", "good"])
    assert list(registry.meters()) == ["sound"]
    (row,) = registry.problems()
    assert (row.distribution, row.version) == ("stranger-bad", "1.2")
    return row.problem


def test_the_built_in_plugins_come_by_entry_point() -> None:
    registry = Registry()
    assert "vllm" in registry.engines()
    assert {"declared", "cpu-time", "rapl"} <= set(registry.meters())
    assert {"md", "json", "text"} <= set(registry.renderers())
    assert registry.problems() == []


def test_a_row_says_where_a_thing_comes_from(install: Install) -> None:
    install("one", METER.format(name="mine"))
    assert Registry(only=["one"]).report() == [
        Row(
            kind="meter",
            name="mine",
            distribution="stranger-one",
            version="1.2",
            module="stranger_one",
        )
    ]


def test_an_import_that_fails_is_one_row(install: Install) -> None:
    assert problem("import absent_module", install) == (
        "cannot be imported: ModuleNotFoundError: No module named 'absent_module'"
    )


def test_a_plugin_that_exits_is_one_row(install: Install) -> None:
    assert problem("raise SystemExit(3)", install) == "cannot be imported: SystemExit: 3"


def test_a_hook_that_raises_is_one_row(install: Install) -> None:
    text = "from inferometer import hookimpl\n@hookimpl\ndef inferometer_meters(): 1 / 0\n"
    assert problem(text, install) == (
        "inferometer_meters() raised: ZeroDivisionError: division by zero"
    )


def test_a_hook_that_exits_is_one_row(install: Install) -> None:
    text = (
        "from inferometer import hookimpl\n@hookimpl\ndef inferometer_meters(): raise SystemExit\n"
    )
    assert problem(text, install) == "inferometer_meters() raised: SystemExit"


def test_a_misspelt_hook_is_named_with_the_right_one(install: Install) -> None:
    text = "from inferometer import hookimpl\n@hookimpl\ndef inferometer_meter(): return []\n"
    assert problem(text, install) == (
        "unknown hook inferometer_meter(); did you mean inferometer_meters()?"
    )


def test_an_unmarked_hook_is_not_overlooked(install: Install) -> None:
    assert problem("def inferometer_meters(): return []\n", install) == (
        "inferometer_meters() is not marked with @inferometer.hookimpl"
    )


def test_a_module_without_hooks_is_no_plugin(install: Install) -> None:
    assert problem("", install).startswith("implements none of the hooks inferometer_engines")


def test_a_hook_with_wrong_arguments_is_one_row(install: Install) -> None:
    text = "from inferometer import hookimpl\n@hookimpl\ndef inferometer_meters(study): return []\n"
    assert "PluginValidationError" in problem(text, install)


def test_what_is_no_meter_is_refused(install: Install) -> None:
    text = METER.replace("info=None, ", "").format(name="half")
    assert problem(text, install) == "lacks info (see inferometer.meter.EnergyMeter)"


def test_a_thing_without_a_name_is_refused(install: Install) -> None:
    text = "from inferometer import hookimpl\n@hookimpl\ndef inferometer_meters(): return [3]\n"
    assert problem(text, install) == "returned int, which has no name"


def test_what_a_plugin_prints_stays_off_stdout(
    install: Install, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "import os\nprint('hello')\nos.system('echo from below')\n"
    install("loud", text + METER.format(name="loud"))
    assert list(Registry(only=["loud"]).meters()) == ["loud"]
    out, err = capfd.readouterr()
    assert out == ""
    assert {"hello", "from below"} <= set(err.splitlines())


def test_two_plugins_with_one_name_are_refused_by_both_names(install: Install) -> None:
    install("one", METER.format(name="same"))
    install("two", METER.format(name="same"))
    registry = Registry(only=["one", "two"])
    with pytest.raises(UsageError) as caught:
        registry.meters()
    text = "meter 'same': stranger-one (stranger_one), stranger-two (stranger_two)"
    assert caught.value.message == f"two plugins bring {text}"
    assert VARIABLE in caught.value.hint
    assert [row.problem for row in registry.problems()] == [text, text]
    assert registry.engines() == {}


def test_the_variable_names_the_only_plugins(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("one", METER.format(name="mine"))
    monkeypatch.setenv(VARIABLE, "one, vlm")
    registry = Registry()
    assert list(registry.meters()) == ["mine"]
    assert registry.engines() == {}
    (row,) = registry.problems()
    assert row.name == "vlm"
    assert row.problem == f"named in {VARIABLE}, but not installed; did you mean 'vllm'?"


def test_an_empty_variable_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert Registry().report() == []


def test_nothing_is_imported_before_it_is_asked_for(install: Install) -> None:
    install("one", METER.format(name="mine"))
    registry = Registry(only=["one"])
    assert "stranger_one" not in sys.modules
    registry.meters()
    assert "stranger_one" in sys.modules


BOOK = """
from inferometer import hookimpl
from inferometer.prices import Quote

class Book:
    name = "{name}"

    def quotes(self):
        {body}

@hookimpl
def inferometer_price_books():
    return [Book()]
"""
QUOTE = (
    'Quote(id="a", gpu="H100", per_gpu_hour={price}, contract="spot", region="r", source="s", '
    'date="2026-11-01")'
)


def test_a_price_book_comes_by_the_hook(install: Install) -> None:
    install("one", BOOK.format(name="mine", body=f"return [{QUOTE.format(price=2.0)}]"))
    registry = Registry(only=["one"])
    (quote,) = registry.price_books()["mine"].quotes()
    assert quote.per_gpu_hour == 2.0
    assert [(row.kind, row.name, row.problem) for row in registry.report()] == [
        ("price book", "mine", "")
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("1 / 0", "cannot be read: ZeroDivisionError: division by zero"),
        (
            f"return [{QUOTE.format(price=-1)}]",
            "cannot be read: ValueError: prices[0].per_gpu_hour: must be greater than 0, is -1",
        ),
        ("return ['H100']", "cannot be read: TypeError: quotes() holds str, not Quote"),
    ],
)
def test_a_broken_price_book_is_one_row_and_the_others_stay(
    body: str, said: str, install: Install
) -> None:
    install("bad", BOOK.format(name="broken", body=body))
    install("good", BOOK.format(name="sound", body=f"return [{QUOTE.format(price=2.0)}]"))
    registry = Registry(only=["bad", "good"])
    assert list(registry.price_books()) == ["sound"]
    (row,) = registry.problems()
    assert (row.kind, row.name, row.problem) == ("price book", "broken", said)
