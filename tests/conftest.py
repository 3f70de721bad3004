"""What tests share: tokenizers trained from the built-in words, signals, container runtimes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import HealthCheck, settings
from tests.programs import hear_signals
from tests.runtimes import Runtimes
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from xdist.scheduler import LoadScopeScheduling

from inferometer import workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Kind = Literal["bytes", "bos", "metaspace"]
ALONE = {"test_real_engines"}
"""It measures with all of the machine."""
CLUSTERS = {"test_ray", "test_ray_groups", "test_load_hosts_ray"}
"""They start one, which mostly waits for its own processes."""
TIMED = """
attached bench capacity_watch containers counting environment faults load_driver
load_http load_open load_turns load_workers measure metering meters meters_amd meters_csv
meters_nvml meters_replay meters_sysfs oracle processor sequential server soak
watch work
"""
"""Files of tests that judge how long something takes, by name."""
REST = "not waiting and not timed and not computing and not cluster"
PHASES = {"waiting", "timed", "computing", "cluster", REST}
"""What ``make test`` asks for, one after the other."""


def pytest_configure() -> None:
    """Let tests of signals send them, and examples take as long as a busy machine needs."""
    hear_signals()
    slow = [HealthCheck.too_slow]
    settings.register_profile("patient", deadline=None, suppress_health_check=slow)
    settings.load_profile("patient")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files with nothing of the phase that is asked for: importing them takes longer."""
    phase, name = config.option.markexpr, collection_path.name
    if phase not in PHASES or not (name.startswith("test_") and name.endswith(".py")):
        return None
    return None if phase in _phases(collection_path) else True


def _phases(path: Path) -> set[str]:
    """Return the phases that a file may have tests of."""
    text = path.read_text(encoding="utf-8")
    return {_phase(path), "waiting"} if "mark.waiting" in text else {_phase(path)}


def _phase(path: Path) -> str:
    if path.stem in ALONE:
        return REST
    if path.stem in CLUSTERS:
        return "cluster"
    if path.stem.removeprefix("test_") in TIMED.split():
        return "timed"
    waits = {"conformance", "e2e", "faults", "test_conformance.py"} & set(path.parts)
    return "waiting" if waits else "computing"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what mostly waits for servers and fakes, what judges times, what computes."""
    for item in items:
        phase = _phase(item.path)
        if phase != REST and not item.get_closest_marker("waiting"):
            item.add_marker(phase)


class Dealt(LoadScopeScheduling):  # type: ignore[misc]  # comes without types
    """A file whose tests share what it measured once goes to one process; else a test by itself.

    The groups of xdist would do, but since pytest 9.2 they are passed over without a word
    (pytest-xdist 1386), and each process measured again.
    """

    def _split_scope(self, nodeid: str) -> str:
        name = nodeid.partition("::")[0]
        return name if _shares(self.config.rootpath / name) else nodeid


@functools.cache
def _shares(path: Path) -> bool:
    return 'scope="module"' in path.read_text(encoding="utf-8")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Dealt | None:
    """Deal out what waits in our own way."""
    return Dealt(config, log) if config.option.dist == "loadgroup" else None


@pytest.fixture(scope="session")
def path_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Path]:
    """Where the ``tokenizer.json`` of a kind is: 800 tokens, made at the first call."""
    made: dict[Kind, Path] = {}

    def make(kind: Kind) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind) / "tokenizer.json"
            trained(kind).save(str(made[kind]))
        return made[kind]

    return make


@pytest.fixture(scope="session")
def tokenizer(path_of: Callable[[Kind], Path]) -> Path:
    """The plain one: byte-level BPE, nothing added to a prompt."""
    return path_of("bytes")


@pytest.fixture
def runtimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtimes]:
    """Stand-ins for docker, podman and apptainer on PATH; the daemon of the first two runs."""
    made = Runtimes(tmp_path / "runtimes", monkeypatch)
    made.start()
    yield made
    made.stop()


def trained(kind: Kind) -> Tokenizer:
    """Byte-level BPE without (bytes) and with a first token (bos), or as Llama 2 (metaspace)."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
    if kind == "metaspace":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        alphabet = [chr(code) for code in range(33, 127)]
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=["<unk>", "<s>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(workload.corpus()[:3000])], trainer)
    if kind == "bos":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    return tokenizer
