"""Commands of plugins: listed at no cost, loaded when used, and never in anybody's way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from inferometer import cli, command
from inferometer.command import GROUP, Command
from inferometer.plugins import Registry

Install = Callable[..., None]
HEAD = "from inferometer import hookimpl\nfrom inferometer.command import Command\n"
HOOK = "@hookimpl\ndef inferometer_commands():\n    return [{entries}]\n"
CLICK = "import click\n@click.command()\ndef {name}():\n    click.echo('hello from {name}')\n"


def source(*entries: tuple[str, str, str]) -> str:
    """Return a plugin that brings commands: name, help line, target."""
    listed = ", ".join(f"Command(*{entry!r})" for entry in entries)
    return HEAD + HOOK.format(entries=listed)


GREET = source(("greet", "Say hello.", "stranger_greet:greet")) + CLICK.format(name="greet")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write ``stranger_<name>.py`` and a distribution that names it in a group."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str, group: str = GROUP) -> None:
        (tmp_path / f"stranger_{name}.py").write_text(text)
        info = tmp_path / f"stranger_{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: stranger-{name}\nVersion: 1.2\n"
        )
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = stranger_{name}\n")

    yield write
    for module in [name for name in sys.modules if name.startswith("stranger_")]:
        del sys.modules[module]


def row(name: str) -> str:
    """Return the one problem that ``inferometer plugins`` tells of a plugin."""
    (found,) = Registry(only=[name], taken=cli.COMMANDS).problems()
    assert found.distribution == f"stranger-{name}"
    return found.problem


def test_a_plugin_s_command_is_listed_and_runs(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(
        "greet",
        GREET,
    )
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "From plugins:" in out
    assert "  greet       Say hello." in out
    assert cli.main(["greet"]) == 0
    assert capsys.readouterr().out == "hello from greet\n"
    assert Registry(only=["greet"]).problems() == []


def test_our_own_comes_by_the_same_door(capsys: pytest.CaptureFixture[str]) -> None:
    assert "simulate" in command.brought(cli.COMMANDS)
    assert cli.main(["simulate", "--help"]) == 0
    assert "calibrate" in capsys.readouterr().out
    rows = {(it.kind, it.name): it for it in Registry(taken=cli.COMMANDS).report()}
    assert rows["command", "simulate"].problem == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)\n", "cannot be imported: SystemExit: 3"),
        (HEAD + HOOK.format(entries="1 / 0"), "inferometer_commands() raised: ZeroDivisionError"),
        (source(("Say Hello", "Hi.", "a:b")), "'Say Hello' is no name for a command"),
        (source(("run", "Hi.", "a:b")), "'run' is a command of Inferometer's own"),
        (source(("hi", "Two\nlines.", "a:b")), "not one line of at most 60 characters"),
        (source(("hi", "\x1b[2J", "a:b")), "not one line of at most 60 characters"),
        (source(("hi", "Hi.", "b")), "its target is 'b', not 'module:attribute'"),
        (source(("hi", "Hi.", "absent_module:b")), "cannot be loaded: ModuleNotFoundError"),
        (source(("hi", "Hi.", "stranger_bad:HOOKED")) + "HOOKED = 3\n", "int, no click.Command"),
        (HEAD + HOOK.format(entries="3"), "returned int, which has no name"),
    ],
)
def test_a_broken_one_is_one_row_and_costs_nobody_anything(
    install: Install, capsys: pytest.CaptureFixture[str], text: str, problem: str
) -> None:
    install("bad", text)
    install(
        "greet",
        GREET,
    )
    assert problem in row("bad")
    assert cli.main(["--help"]) == 0
    assert "greet" in capsys.readouterr().out
    assert cli.main(["greet"]) == 0
    assert cli.main(["run", "--help"]) == 0  # the built-in, not the stranger's


def test_one_that_cannot_be_loaded_says_whose_it_is(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("bad", source(("hi", "Hi.", "absent_module:b")))
    assert cli.main(["hi"]) == 2
    err = capsys.readouterr().err
    assert "error: command 'hi' of stranger-bad cannot be loaded: ModuleNotFoundError" in err
    assert "inferometer plugins" in err
    assert "Traceback" not in err


def test_two_plugins_with_one_command_are_refused_by_both_names(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        install(name, source(("hi", "Hi.", f"stranger_{name}:hi")) + CLICK.format(name="hi"))
    assert cli.main(["--help"]) == 0
    assert "Hi." not in capsys.readouterr().out
    assert cli.main(["hi"]) == 2
    assert "two plugins bring the command 'hi': stranger-one, stranger-two" in (
        capsys.readouterr().err
    )


def test_the_variable_leaves_commands_out(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install("greet", source(("greet", "Say hello.", "stranger_greet:greet")))
    monkeypatch.setenv(command.VARIABLE, "vllm")
    assert command.brought(cli.COMMANDS) == {}
    assert cli.main(["greet"]) == 2
    assert "No such command" in capsys.readouterr().err


def test_a_command_in_the_other_group_is_told(install: Install) -> None:
    install("bad", source(("hi", "Hi.", "a:b")), group="inferometer")
    assert "found in the entry-point group inferometer.commands alone" in row("bad")


def test_a_misspelt_command_of_a_plugin_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulat"]) == 2
    assert "simulate" in capsys.readouterr().err


def test_what_a_plugin_prints_stays_off_stdout(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("loud", "print('noise')\n" + source())
    assert cli.main(["--help"]) == 0
    assert "noise" not in capsys.readouterr().out


def test_a_built_in_command_asks_no_plugin() -> None:
    program = (
        "import sys; from inferometer.cli import main; main(['prices', '--help']);"
        "print(*[m for m in sys.modules if m.startswith('inferometer_plugins')])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == ""


def test_a_command_loads_what_it_names() -> None:
    assert Command("x", "X.", "inferometer.cli:cli").load() is cli.cli


def test_entry_points_are_those_that_the_library_finds(install: Install) -> None:
    install("extra", source())
    install("other", source(), group="inferometer")
    found = {(it.name, it.value) for it in command._points(sys.path)}
    assert found == {(it.name, it.value) for it in entry_points(group=GROUP)}
    assert ("extra", "stranger_extra") in found
