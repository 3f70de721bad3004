"""Renderers, importers, executors and whole plugins with one fault each: its check sees it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from tests.programs import until

from inferometer import cli, deprecated, plugins, processes, scaffold
from inferometer.comparison import Comparison, Imported
from inferometer.errors import UsageError
from inferometer.executor import Done, Lost, Node
from inferometer.importer import ForeignFile, Source
from inferometer.testing import executors, importers, renderers, workloads
from inferometer.testing import plugins as whole
from inferometer.testing.check import Result

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


def outcome(results: Sequence[Result]) -> str:
    (result,) = results
    return result.outcome


# -- renderers -----------------------------------------------------------------------------------


def sound(comparison: Comparison) -> dict[str, bytes]:
    said = [comparison.title, *(stack.label for stack in comparison.stacks), "simulated"]
    return {"it.txt": "\n".join(said).replace("\x1b", " ").encode()}


def page(comparison: Comparison, text: str) -> dict[str, bytes]:
    return {**sound(comparison), "it.html": f"<html>{text}</html>".encode()}


def printing(comparison: Comparison) -> dict[str, bytes]:
    sys.stdout.write("here")
    return sound(comparison)


def writing(comparison: Comparison) -> dict[str, bytes]:
    Path("left").touch()
    return sound(comparison)


def changing(comparison: Comparison) -> dict[str, bytes]:
    comparison.notes.append("mine")
    return sound(comparison)


COUNT = iter(range(1000))
RENDER: dict[str, Callable[[Comparison], Mapping[str, Any]]] = {
    "gives-files": lambda _: {},
    "files-have-plain-names": lambda c: {"../it.txt": sound(c)["it.txt"]},
    "same-bytes-again": lambda _: {"it.txt": str(next(COUNT)).encode()},
    "changes-nothing": changing,
    "writes-nothing-itself": writing,
    "prints-nothing": printing,
    "text-is-text": lambda c: {**sound(c), "it.json": b"{"},
    "simulated-is-said": lambda _: {"it.txt": b"measured"},
    "every-stack-is-told": lambda c: {"it.txt": c.stacks[0].id.encode()},
    "what-is-missing-is-rendered": lambda c: {"it.txt": str(c.price.value + 1).encode()},  # type: ignore[operator]
    "nothing-measured-is-rendered": lambda c: {"it.txt": str(c.rankings[0].entries[0]).encode()},
    "what-engines-say-is-harmless": lambda c: page(c, c.stacks[0].label),
    "asks-nobody": lambda c: page(c, '<script src="https://example.org/a.js"></script>'),
}


@pytest.mark.parametrize("id_", RENDER)
def test_a_wrong_renderer_is_seen(id_: str) -> None:
    wrong: Any = SimpleNamespace(name="wrong", render=RENDER[id_])
    if id_ == "what-engines-say-is-harmless":
        wrong.render = lambda c: {"it.txt": c.stacks[0].label.encode()}
    assert outcome(renderers.run(wrong, only=[id_])) == "fail"
    right: Any = SimpleNamespace(name="right", render=sound)
    assert outcome(renderers.run(right, only=[id_])) in {"pass", "n/a"}
    renderers.usual().notes[:] = [note for note in renderers.usual().notes if note != "mine"]


def test_a_renderer_without_a_name_or_of_another_language_is_seen() -> None:
    nameless: Any = SimpleNamespace(render=sound)
    assert outcome(renderers.run(nameless, only=["complete"])) == "fail"
    lifeless: Any = SimpleNamespace(name="lifeless", render={"it.txt": b"it"})
    (told,) = renderers.run(lifeless, only=["complete"])
    assert (told.outcome, told.detail) == ("fail", "cannot be called: render")
    shouting: Any = SimpleNamespace(name="LOUD", render=sound)
    assert outcome(renderers.run(shouting, only=["name"])) == "fail"
    mute: Any = SimpleNamespace(name="mute", render=sound, languages=["id"])
    mute.in_language = lambda _: mute
    assert outcome(renderers.run(mute, only=["renders-each-language"])) == "fail"
    mute.render_several = lambda _: {}
    assert outcome(renderers.run(mute, only=["renders-several"])) == "fail"


# -- importers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The importer of the template, as a folder."""
    folder = tmp_path_factory.mktemp("importer")
    names = scaffold.named("inferometer-toy")
    scaffold.write(folder, scaffold.distribution(names, "importer"))
    return folder


@pytest.fixture
def read(
    toy: Path, monkeypatch: Patch
) -> Iterator[Callable[[Sequence[Source]], Sequence[Imported]]]:
    """What the toy reads."""
    monkeypatch.syspath_prepend(toy)
    import inferometer_toy  # type: ignore[import-not-found]  # noqa: PLC0415 -- written above

    found: Callable[[Sequence[Source]], Sequence[Imported]] = inferometer_toy.ToyImporter().read
    yield found
    del sys.modules["inferometer_toy"]


Read = Callable[[Sequence[Source]], Sequence[Imported]]


def crashing(sources: Sequence[Source], read: Read) -> Sequence[Imported]:
    json.loads(sources[0].content)
    return read(sources)


def swallowing(sources: Sequence[Source], read: Read) -> Sequence[Imported]:
    try:
        return read(sources)
    except ForeignFile:
        return []


def careless(sources: Sequence[Source], read: Read) -> Sequence[Imported]:
    table = json.loads(sources[0].content)
    table["ttft_ms"] + 1
    return read(sources)


READ: dict[str, Callable[[Sequence[Source], Read], Any]] = {
    "reads-a-sound-file": lambda _sources, _read: [],
    "files-are-named": lambda s, read: [_struct(read(s)[0], files=[])],
    "figures-are-defined": lambda s, read: [_struct(read(s)[0], figures=[*read(s)[0].figures] * 2)],
    "limits-are-said": lambda s, read: [_struct(read(s)[0], limits=[])],
    "same-again": lambda s, read: [_struct(read(s)[0], id=f"it-{next(COUNT)}")],
    "rubbish-is-refused": swallowing,
    "cut-files-are-refused": crashing,
    "odd-values-are-refused": careless,
    "prints-and-writes-nothing": lambda s, read: sys.stdout.write("here") and read(s),
}


def _struct(value: Any, **more: Any) -> Any:
    import msgspec  # noqa: PLC0415 -- for this alone

    return msgspec.structs.replace(value, **more)


@pytest.mark.parametrize("id_", READ)
def test_a_wrong_importer_is_seen(id_: str, toy: Path, read: Read) -> None:
    samples = [toy / "tests" / "samples" / "toy" / "result.json"]
    wrong: Any = SimpleNamespace(name="toy", tool="Toy", read=lambda s: READ[id_](s, read))
    assert outcome(importers.run(wrong, samples=samples, only=[id_])) == "fail"
    right: Any = SimpleNamespace(name="toy", tool="Toy", read=read)
    assert outcome(importers.run(right, samples=samples, only=[id_])) == "pass"


# -- executors -----------------------------------------------------------------------------------


class Cluster:
    """Carries out an order when it is listened to, with one fault or none."""

    per_node, carries = 1, False

    def __init__(self, fault: str) -> None:
        self.fault, self.orders, self.kept = fault, [], []  # type: ignore[var-annotated]

    def nodes(self) -> Sequence[Node]:
        node = Node(key="here", machine=f"m{next(COUNT) if self.fault == 'moves' else ''}", cpus=1)
        return {
            "none": [],
            "twice": [node, node],
            "empty": [replace(node, cpus=0)],
        }.get(self.fault, [node])

    def share(self, content: bytes) -> None:
        self.shared = content

    def start(self, order: Any) -> None:
        self.orders.append(order)

    def heard(self, timeout_s: float) -> Sequence[Any]:
        from inferometer import api  # noqa: PLC0415 -- for this alone

        found: list[Any] = []
        for order in self.orders:
            answer = api.perform(self.shared, order.content, lambda _: None)
            said = Done(order.id, answer[:-1] if self.fault == "cuts" else answer)
            found += [said, said] if self.fault == "echoes" else [said]
        if self.fault == "loses":
            found = [Lost(each.id, "gone") for each in found]
        if self.fault == "invents":
            found.append(Done("four", b"{}"))
        self.orders = []
        return found

    def settle(self) -> Sequence[Any]:
        return []

    def cancel(self) -> None:
        if self.fault != "goes on":
            self.orders = []

    def left(self) -> Iterator[Path]:
        return iter(())


@dataclass(frozen=True)
class Faulty:
    fault: str = ""
    name: str = "faulty"
    options: Mapping[str, type] = ()  # type: ignore[assignment]

    @contextmanager
    def open(self, options: Any, results: Path, plan_sha256: str) -> Iterator[Any]:
        yield Cluster(self.fault)


@pytest.mark.parametrize(
    ("fault", "id_"),
    [
        ("none", "nodes-say-what-they-are"),
        ("twice", "nodes-say-what-they-are"),
        ("empty", "nodes-say-what-they-are"),
        ("moves", "nodes-stay-the-same"),
        ("cuts", "orders-are-answered-whole"),
        ("loses", "orders-are-answered-whole"),
        ("echoes", "each-order-is-answered-once"),
        ("invents", "nothing-is-heard-of-nothing"),
        ("invents", "each-order-is-answered-once"),
    ],
)
def test_a_wrong_executor_is_seen(fault: str, id_: str) -> None:
    wrong: Any = Faulty(fault)
    assert outcome(executors.run(wrong, only=[id_])) == "fail"
    right: Any = Faulty()
    assert outcome(executors.run(right, only=[id_])) == "pass"


def test_options_that_no_command_line_gives_are_seen() -> None:
    odd: Any = Faulty(options={"A": str})
    assert outcome(executors.run(odd, only=["options-are-declared"])) == "fail"
    listed: Any = Faulty(options={"a": list})
    assert outcome(executors.run(listed, only=["options-are-declared"])) == "fail"


# -- workloads -----------------------------------------------------------------------------------


def command(fault: str) -> click.Command:
    """Return a command that writes a trace, with one fault or none."""

    def write(workload_file: Path, seed: int, more: int = 0) -> None:
        rows = [{"time_s": place + seed / 10, "input_tokens": 9} for place in range(20)]
        lines = [
            {**row, "output_tokens": seed + more} for row in rows[: 3 if fault == "short" else 20]
        ]
        if fault == "empty":
            lines[3]["input_tokens"] = 0
        if fault == "foreign":
            lines = [{"tokens": 3}]
        if fault == "drawn":
            lines[0]["time_s"] += next(COUNT)
        if fault == "fixed":
            lines = [{**line, "output_tokens": 7, "time_s": 1.0} for line in lines]
        if fault == "litters":
            (workload_file.parent / "notes").touch()
        if fault == "prints":
            click.echo("here")
        if fault != "mute":
            workload_file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    made = click.command("it")(write)
    made.params = [
        click.Argument(["workload_file"], type=click.Path(path_type=Path)),
        click.Option(["--seed"], default=1),
    ]
    if fault == "asks":
        made.params.append(click.Option(["--more"], type=int, required=True))
    return made


@pytest.mark.parametrize(
    ("fault", "id_"),
    [
        ("asks", "takes-a-file-and-a-seed"),
        ("foreign", "a-study-takes-the-file"),
        ("mute", "a-study-takes-the-file"),
        ("empty", "every-request-counts"),
        ("short", "enough-to-load-a-server"),
        ("drawn", "same-seed-same-bytes"),
        ("fixed", "another-seed-another-file"),
        ("litters", "writes-that-file-alone"),
        ("prints", "prints-nothing"),
    ],
)
def test_a_wrong_workload_is_seen(fault: str, id_: str) -> None:
    assert outcome(workloads.run(command(fault), only=[id_])) == "fail"
    assert outcome(workloads.run(command(""), only=[id_])) == "pass"


def test_a_file_of_lengths_is_a_workload_too() -> None:
    @click.command()
    @click.argument("workload_file", type=click.Path(path_type=Path))
    @click.option("--seed", default=1)
    def lengths(workload_file: Path, seed: int) -> None:
        workload_file.write_text("".join(f"{seed + place},{place + 1}\n" for place in range(20)))

    outcomes = {it.id: it.outcome for it in workloads.run(lengths)}
    assert outcomes.pop("every-request-counts") == "n/a"
    assert set(outcomes.values()) == {"pass"}


# -- whole plugins -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An importer as it is written: checked in a moment."""
    made = tmp_path / "toy"
    scaffold.write(made, scaffold.distribution(scaffold.named("inferometer-toy"), "importer"))
    return made


def changed(folder: Path, old: str, new: str) -> None:
    module = folder / "inferometer_toy.py"
    text = module.read_text()
    assert old in text
    module.write_text(text.replace(old, new, 1))


KNOWN = """    @property
    def known_failures(self):
        return {"limits-are-said": "none", "name": "it is odd"}

    def read("""


def of_plugin(found: Sequence[whole.Told]) -> dict[str, Result]:
    return {told.result.id: told.result for told in found if told.of == "plugin"}


def test_what_a_plugin_lacks_is_told_in_words(folder: Path, capsys: Capture) -> None:
    (folder / "README.md").unlink()
    (folder / "tests" / "test_inferometer_toy.py").unlink()
    project = folder / "pyproject.toml"
    project.write_text(
        project.read_text()
        .replace('["inferometer"]', "[]")
        .replace("# license", "license")
        .replace("    # To do: choose one, put its text into LICENSE, take the # away.", "")
    )
    changed(folder, 'name: str = "toy"', 'name: str = "guidellm"')
    assert cli.main(["plugins", "check", str(folder)]) == 3
    out, err = capsys.readouterr()
    told = " ".join(out.split())
    assert "`inferometer` is not among its dependencies" in told
    assert "no `readme` that is there" in told
    assert "no test_*.py uses inferometer.testing" in told
    assert "its text is not there" in told
    assert "taken: importer guidellm" in told
    assert "5 of " in err


def test_what_fails_for_one_reason_is_told_once(folder: Path, capsys: Capture) -> None:
    changed(folder, "        said = table", "        1 / 0\n        said = table")
    assert cli.main(["plugins", "check", str(folder)]) == 3
    out, err = capsys.readouterr()
    assert out.count("ZeroDivisionError: division by zero") < 4
    assert "for the same reason: files-are-named, figures-are-defined" in " ".join(out.split())
    assert "9 fail" in err


def test_a_plugin_that_cannot_be_imported_is_a_failure_in_words(folder: Path) -> None:
    (folder / "inferometer_toy.py").write_text("import nowhere_at_all")
    found = of_plugin(whole.check(folder))
    assert found["loads"].outcome == "fail"
    assert "No module named 'nowhere_at_all'" in found["loads"].detail
    assert found["brings-something"].outcome == "fail"


def test_a_plugin_that_ends_its_process_is_a_failure(folder: Path) -> None:
    changed(folder, "        said = table", "        import os; os._exit(7)\n        said = table")
    last = whole.check(folder)[-1]
    assert (last.result.id, last.result.outcome) == ("lives", "fail")
    assert "it ended with 7" in last.result.detail


LEAVES = """
import os
import time

if not (left := os.fork()):
    time.sleep(300)
    open({outlived!r}, "w")
    os._exit(0)
if {escapes}:
    os.setpgid(left, left)
open({born!r}, "w").write(str(left))


@hookimpl"""


@pytest.mark.parametrize("escapes", [False, True])
def test_what_a_plugin_leaves_running_is_not_waited_for(
    escapes: bool, folder: Path, tmp_path: Path
) -> None:
    sound = [(told.of, told.result.id, told.result.outcome) for told in whole.check(folder)]
    born, outlived = tmp_path / "born", tmp_path / "outlived"
    text = LEAVES.format(escapes=escapes, born=str(born), outlived=str(outlived))
    changed(folder, "@hookimpl", text)
    found = [(told.of, told.result.id, told.result.outcome) for told in whole.check(folder)]
    assert not outlived.exists()
    assert found == sound
    left = int(born.read_text())
    if escapes:
        os.kill(left, signal.SIGKILL)
    assert until(lambda: processes.start_of(left) is None, 60)


def test_what_a_plugin_prints_is_no_result(folder: Path, capsys: Capture) -> None:
    changed(folder, "@hookimpl", "import os\nos.write(1, b'here')\nprint('here')\n\n\n@hookimpl")
    assert cli.main(["plugins", "check", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {each["of"] for each in told} == {"plugin", "importer toy"}


def test_known_failures_are_told_and_stay_true(folder: Path) -> None:
    changed(folder, "    def read(", KNOWN)
    limits = 'limits=["One run against one server: how launches differ is not told."]'
    changed(folder, limits, "limits=[]")
    found = {told.result.id: told.result for told in whole.check(folder)}
    assert (found["limits-are-said"].outcome, found["limits-are-said"].detail) == ("known", "none")
    assert found["name"].outcome == "fail"
    assert "but passes: take it off the list" in found["name"].detail


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("absent", "neither a folder nor an installed distribution"),
        ("inferometr", "Did you mean 'inferometer'?"),
        ("click", "has no entry point in the group"),
        ("{file}", "a file"),
        ("{folder}", "it has no pyproject.toml"),
    ],
)
def test_what_is_no_plugin_is_refused(
    given: str, said: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").touch()
    word = given.format(file=tmp_path / "file", folder=tmp_path)
    assert cli.main(["plugins", "check", word]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[project", "a = 1", "[project]\nname = 1\nentry-points = 1"])
def test_a_pyproject_that_says_nothing_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match="pyproject"):
        whole.check(tmp_path)


# -- what is going away --------------------------------------------------------------------------


def test_what_is_deprecated_is_told_once_with_its_plugin(
    monkeypatch: Patch, capsys: Capture
) -> None:
    old = deprecated.Deprecation("0.1", "0.3", "Write another one.")
    monkeypatch.setattr(deprecated, "HOOKS", {"inferometer_price_books": old})
    monkeypatch.setattr(deprecated, "MEMBERS", {("renderer", "on_request"): old})
    monkeypatch.setenv(plugins.VARIABLE, "prices,reports")
    assert cli.main(["plugins"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "deprecated:" in line]
    assert lines[0] == (
        "deprecated: plugin prices (inferometer_plugins.prices): inferometer_price_books() is "
        "deprecated since 0.1 and gone in 0.3: Write another one."
    )
    assert {line.split()[1] for line in lines[1:]} == {"renderer"}
    assert any("figures (inferometer_reports): renderer.on_request" in line for line in lines)
    assert len(lines) == len(set(lines))


def test_nothing_that_should_be_gone_is_kept() -> None:
    import inferometer  # noqa: PLC0415 -- for this alone

    now = [int(part) for part in inferometer.__version__.split(".")[:2]]
    for old in (*deprecated.HOOKS.values(), *deprecated.MEMBERS.values()):
        since, until = ([int(part) for part in text.split(".")] for text in old[:2])
        assert now < until, f"{old}: take it away now"
        assert until[0] > since[0] or until[1] >= since[1] + 2, f"{old}: two minor releases"
