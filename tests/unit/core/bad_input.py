"""Wrong input, case by case: what is typed, in a folder with which files.

``docs/reference/errors.md`` has the exit code, the message and the next step of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.studies import DECLARED, PRICE, SHORT, STREAMS, written

from inferometer.testing import results as stored

if TYPE_CHECKING:
    from collections.abc import Callable

STUDY = written(
    "mine",
    price=PRICE,
    engines=[{"name": "simulator"}],
    models=[{"name": "dense", "path": "model"}],
    workloads=[SHORT],
    loads=[STREAMS],
    meters=[DECLARED],
)


@dataclass(frozen=True, slots=True)
class Case:
    """``inferometer WORDS`` in a folder that ``make`` has filled."""

    words: str
    what: str
    """What is wrong, in words."""
    make: Callable[[], object] = lambda: None


def _study(old: str = "", new: str = "") -> Callable[[], object]:
    """Return what writes ``study.toml`` with one thing changed."""

    def make() -> None:
        assert old in STUDY
        Path("model").mkdir()
        Path("model/config.json").write_text("{}")
        Path("study.toml").write_text(STUDY.replace(old, new, 1))

    return make


def _all(*makers: Callable[[], object]) -> Callable[[], None]:
    def make() -> None:
        for one in makers:
            one()

    return make


def _folder(name: str, **files: str) -> Callable[[], object]:
    def make() -> None:
        Path(name).mkdir()
        for file, content in files.items():
            Path(name, file.replace("_", ".")).write_text(content)

    return make


def _file(name: str, content: str | bytes) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


def _results(*, spoil: Callable[[Path], object] = lambda _: None) -> Callable[[], object]:
    """Return what writes a results directory ``results``, and spoils it."""

    def make() -> None:
        stored.write_results(Path("results"), stored.Fixture(rates={"fast": 110.0, "slow": 100.0}))
        spoil(Path("results"))

    return make


def _in_every_launch(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda root: [(it / name).write_bytes(content) for it in root.glob("launches/*")]


def _edited(name: str, old: str, new: str) -> Callable[[Path], object]:
    def edit(root: Path) -> None:
        for path in root.glob(name):
            path.write_text(path.read_text().replace(old, new, 1))

    return edit


COMMAND_LINES = (
    Case("rum", "a command that is not there"),
    Case("run", "an argument that is missing"),
    Case("run study.toml --round 3", "an option that is not there"),
    Case("bench http://127.0.0.1:9 --model m --concurrency 0", "a number out of range"),
    Case("prices --contract free", "a choice that is none"),
    Case("init study.toml", "a file that would be overwritten", _file("study.toml", "")),
    Case("report results --format pdf", "a report format that is not there", _results()),
    Case("report results --lang xx", "a language that is not there", _results()),
    Case("prices --as-of yesterday", "a day that is none"),
    Case("bench localhost:8000 --model m --concurrency 1", "an address without its scheme"),
    Case("bench http://127.0.0.1:9 --model m --concurrency 1 --rate 2", "two kinds of load"),
    Case(
        "bench http://127.0.0.1:9 --model m --concurrency 1 --api-key-env NO_SUCH",
        "a key that is not set",
    ),
    Case(
        "bench http://127.0.0.1:9 --model m --concurrency 1 --header nothing",
        "a header that is none",
    ),
    Case(
        "bench http://127.0.0.1:9 --model m --concurrency 1 --extra-body [1]",
        "a body that is no object",
    ),
    Case(
        "bench http://127.0.0.1:9 --model m --concurrency 1 --input-tokens 1..9",
        "a length that is none",
    ),
    Case("bench http://127.0.0.1:9 --model m --trace no.csv", "a trace that is not there"),
    Case(
        "loadhost --listen nowhere --token-file t",
        "an address to listen at that is none",
        _file("t", "a" * 40),
    ),
    Case("loadhost --token-file no.txt", "a file of a token that is not there"),
    Case("fleet results --requests-per-day some", "an amount that is none", _results()),
    Case(
        "simulate fleet c.json --requests-per-day 1M --replicas 2",
        "a calibration that is not there",
    ),
)
STUDIES = (
    Case("plan study.toml", "a study that is not there"),
    Case("run study.toml", "a study that is no TOML", _study('name = "mine"', 'name = "mine')),
    Case("run study.toml", "a study that is no text", _file("study.toml", b"\xff\xfe\x00")),
    Case("plan study.toml", "a study without what it needs", _file("study.toml", 'name = "x"\n')),
    Case("plan study.toml", "a key that is misspelt", _study("concurrency", "concurency")),
    Case(
        "plan study.toml",
        "a value of another type",
        _study("input_tokens = 32", 'input_tokens = "many"'),
    ),
    Case(
        "plan study.toml", "a value out of range", _study("output_tokens = 8", "output_tokens = 0")
    ),
    Case(
        "plan study.toml", "an engine that is not installed", _study('"simulator"', '"simulater"')
    ),
    Case("plan study.toml", "a meter that is not there", _study('"declared"', '"declare"')),
    Case("plan study.toml", "an option of a meter that it lacks", _study("power_w", "power_kw")),
    Case("run study.toml", "a model that is not there", _study('"model"', '"modle"')),
    Case(
        "plan study.toml",
        "a packaged model that is not there",
        _study('path = "model"', 'packaged = "gpt"'),
    ),
    Case(
        "plan study.toml",
        "a secret in a study",
        _study('name = "simulator"', 'name = "simulator"\nextra_env = { HF_TOKEN = "x" }'),
    ),
    Case(
        "plan study.toml",
        "two things with one name",
        _study(
            "[[loads]]",
            '[[workloads]]\nname = "short"\ninput_tokens = 1\noutput_tokens = 1\n\n[[loads]]',
        ),
    ),
    Case("plan study.toml --budget much", "a budget that is none", _study()),
    Case("plan study.toml --budget 1s", "a budget that nothing fits", _study()),
    Case("plan study.toml --price none", "a price that is not in the book", _study()),
    Case("run study.toml --executor slurm", "an executor that is not there", _study()),
    Case("run study.toml --load-hosts 127.0.0.1:9", "load hosts without a token", _study()),
    Case("run study.toml", "a model without what describes it", _study()),
)
RESULTS = (
    Case("report here", "a directory that holds no results", _folder("here")),
    Case("report there", "a directory that is not there"),
    Case(
        "report results",
        "a record that was edited",
        _results(spoil=_edited("launches/*/launch.json", '"schema"', '"schema": no, "x"')),
    ),
    Case(
        "report results",
        "a record that is cut",
        _results(spoil=_in_every_launch("launch.json", b'{"id": "r')),
    ),
    Case(
        "report results",
        "requests that are cut",
        _results(spoil=_in_every_launch("requests.jsonl", b'{"stream": 0')),
    ),
    Case(
        "report results",
        "events of an odd length",
        _results(spoil=_in_every_launch("chunks.bin", b"1234567")),
    ),
    Case(
        "report results",
        "a plan that was edited",
        _results(spoil=lambda root: (root / "plan.json").write_text("[]")),
    ),
    Case(
        "run study.toml --results results",
        "results of another study",
        _all(_study(), _results()),
    ),
    Case("status here", "no run to tell of", _folder("here")),
    Case("launch results no-such", "a stack that was not measured", _results()),
    Case("launch results --model no-such", "a model that was not measured", _results()),
    Case(
        "compare results here",
        "a side that holds no results",
        _all(_results(), _folder("here")),
    ),
    Case(
        "gate results --baseline here",
        "a baseline that is none",
        _all(_results(), _folder("here")),
    ),
    Case("gate results --baseline results", "one side given twice", _results()),
    Case(
        "gate results --baseline results --pair slow=fast --metric speed",
        "a metric that is not there",
        _results(),
    ),
    Case("gate results --baseline results --rules no.toml", "rules that are not there", _results()),
    Case("cost results no.toml", "a scenario that is not there", _results()),
    Case(
        "cost results cost.toml",
        "a scenario that is no TOML",
        _all(_results(), _file("cost.toml", "=")),
    ),
    Case(
        "cost results cost.toml",
        "a scenario that does not hold together",
        _all(_results(), _file("cost.toml", "[hours.a]\nusd = -1\n")),
    ),
    Case("fleet results", "a fleet without a demand", _results()),
    Case(
        "report results --max-price-age 1 --as-of 2030-01-01", "a price that is too old", _results()
    ),
    Case("import vllm-bench no.json --results here", "a file to import that is not there"),
    Case(
        "import vllm-bench file.json --results here",
        "a file that another tool did not write",
        _file("file.json", "[]"),
    ),
    Case(
        "import nothing file.json --results here",
        "a tool that is not known",
        _file("file.json", "{}"),
    ),
)
MACHINE = (
    Case(
        "prices --file book.toml",
        "a price book that does not hold together",
        _file("book.toml", "[[prices]]\nid = 1\n"),
    ),
    Case("engines show nothing", "an engine that is not there"),
    Case("engines check simulater", "an engine that is misspelt"),
    Case("engines remove nothing", "an environment that is not there"),
    Case("meters check nothing", "a meter that nobody knows"),
    Case("meters check declared -o power_w=much", "an option of another type"),
    Case("models describe nothing", "a model that nobody knows"),
    Case(
        "models describe model",
        "a model whose config.json is none",
        _folder("model", config_json="["),
    ),
    Case(
        "models describe model",
        "a model without weights",
        _folder("model", config_json='{"model_type": "mystery"}'),
    ),
    Case("models upcycle model -e 1 -k 2", "a twin that cannot be", _folder("model")),
    Case(
        "models random model --out x",
        "weights for what is no config.json",
        _folder("model"),
    ),
    Case("run study.toml --results /proc/none", "results where nothing can be written", _study()),
)
CASES = {
    "Command lines": COMMAND_LINES,
    "Studies": STUDIES,
    "Results": RESULTS,
    "Engines, models, meters, prices": MACHINE,
}
