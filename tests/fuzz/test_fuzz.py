"""Every reader of what others write: kept inputs, changed ones, and those made to do harm."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz import hostile, mutate, results, watch
from tests.fuzz.base import Target
from tests.fuzz.targets import TARGETS

from inferometer.analyze import analyze
from inferometer.errors import UsageError
from inferometer.loadgen.sse import decode
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import DrawFn

ROOT = Path(__file__).parents[2]
NAMED = pytest.mark.parametrize("name", TARGETS)
HEAVY = ("sse", "http", "safetensors", "chunks", "metrics-text", "gate-rules", "plan", "power-log")
QUICKLY = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True, scope="module")
def _a_slow_machine() -> Iterator[None]:
    """Let what hangs be told from what is slow where much else runs: the former takes minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "LONGEST_S", 60.0)
        yield


@NAMED
def test_kept_inputs_are_read_or_refused(name: str) -> None:
    watched = watch.Watched(TARGETS[name])
    seeds = TARGETS[name].seeds()
    for seed in seeds:
        watched.feed(seed)
    assert watched.findings == {}
    assert watched.refused < len(seeds) or name == "metrics-json", "nothing is read at all"


@NAMED
@QUICKLY
@given(rng=st.randoms(use_true_random=False))
def test_changed_inputs_are_read_or_refused(name: str, rng: random.Random) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    watched = watch.Watched(target)
    watched.feed(mutate.mutate(rng.choice(seeds), rng, target.most, target.form, seeds))
    assert watched.findings == {}


@pytest.mark.parametrize("name", HEAVY)
def test_hostile_inputs_take_neither_long_nor_much(name: str) -> None:
    watched = watch.Watched(TARGETS[name])
    for _, data in hostile.of(name):
        watched.feed(data)
    assert watched.inputs > 1
    assert watched.findings == {}


@st.composite
def answers(draw: DrawFn) -> tuple[list[list[int]], bytes, list[int]]:
    """The token ids of each event of an answer, the answer, and where it is cut."""
    told = draw(st.lists(st.lists(st.integers(0, 200_000), min_size=1, max_size=5), min_size=1))
    end = draw(st.sampled_from(["\n\n", "\r\n\r\n", "\n"]))
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
    lines = []
    for ids in told:
        choice = {"index": 0, "text": draw(text), "token_ids": ids}
        plain = draw(st.booleans())
        lines.append(f"data: {json.dumps({'choices': [choice]}, ensure_ascii=plain)}{end}")
        if draw(st.booleans()):
            lines.append(f": {draw(st.sampled_from(['ping', 'data: x', '']))}{end}")
    count = sum(map(len, told))
    usage = {"prompt_tokens": 3, "completion_tokens": count}
    lines.append(f"data: {json.dumps({'choices': [], 'usage': usage})}{end}data: [DONE]{end}")
    body = "".join(lines).encode()
    cuts = draw(st.lists(st.integers(0, len(body)), max_size=20))
    return told, body, sorted({0, len(body), *cuts})


@settings(QUICKLY, max_examples=200)
@given(answers())
def test_a_stream_says_the_same_wherever_it_is_cut(
    answer: tuple[list[list[int]], bytes, list[int]],
) -> None:
    told, body, cuts = answer
    parts = [body[a:b] for a, b in pairwise(cuts)]
    found = decode([(at, part) for at, part in enumerate(parts, 1)])
    assert found.error is None
    assert [tokens for _, tokens, _ in found.events] == [len(ids) for ids in told]
    assert found.token_ids == [one for ids in told for one in ids]
    assert found.output_tokens == len(found.token_ids)
    assert [at for at, _, _ in found.events] == sorted(at for at, _, _ in found.events)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("id", "x" * 3000, "another one's folder"),
        ("id", "../../../etc", "another one's folder"),
        ("position", 2**70, "not readable as LaunchRecord"),
        ("windows.0.start_ns", 2**70, "not readable as Window"),
        ("meters.0.devices", [{"name": "\0", "power_limit_w": 1e400}], "not readable"),
        ("environment.kind", [], ""),
        ("model.path", 7, ""),
        ("stack.id", {"a": []}, ""),
        ("stack.id", "x" * 5000, ""),
        ("model", {"path": "/models/m"}, ""),
        ("stack.id", "a\0b", ""),
    ],
)
def test_a_launch_that_says_the_impossible(path: str, value: Any, words: str) -> None:
    (seed,) = TARGETS["launch"].seeds()
    document = json.loads(seed)
    *way, last = [int(it) if it.isdigit() else it for it in path.split(".")]
    part: Any = document
    for key in way:
        part = part[key]
    part[last] = value
    data = json.dumps(document).encode()
    if words:
        with pytest.raises(UsageError, match=words):
            results._of_launch(data)
    watched = watch.Watched(TARGETS["launch"])
    watched.feed(data)
    assert watched.findings == {}


def test_an_analysis_of_the_impossible(tmp_path: Path) -> None:
    fixture = Fixture(rates={"a": 8.0, "b": 4.0}, rounds=2, window_s=2, concurrency=1)
    store = write_results(tmp_path / "r", fixture)
    for launch in store.launches():
        path = store.folder(launch.id) / "launch.json"
        document = json.loads(path.read_bytes())
        document["model"]["architecture"] = ["dense"]
        document["ended_wall_ns"] = 2**62 * 100
        path.write_text(json.dumps(document))
    found = analyze(store.root)
    assert found.created == ""


def _slow(data: bytes) -> None:
    while data:
        pass


def _talkative(data: bytes) -> None:
    raise UsageError(f"one line\n{data!r}")


def _wrong(data: bytes) -> None:
    dict[bytes, int]()[data]


@pytest.mark.parametrize(
    ("feed", "words"),
    [
        (_slow, "TooSlowError"),
        (_talkative, "a message of several lines"),
        (_wrong, "KeyError at test_fuzz.py"),
    ],
)
def test_what_is_wrong_is_found(feed: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LONGEST_S", 0.05)
    watched = watch.Watched(Target("x", feed, (UsageError,), "bytes"))
    watched.feed(b"x" * 16)
    (found,) = watched.findings
    assert words in found


def test_what_takes_much_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([200 << 10, 500 << 10, 600 << 10])
    monkeypatch.setattr(watch, "peak_kb", lambda: next(peaks))
    watched = watch.Watched(TARGETS["manifest"])
    watched.feed(b"first")
    watched.feed(b"more")
    assert watched.findings == {"memory": b"first"}


@pytest.mark.skipif(not watch.PEAK.exists(), reason="the kernel does not forget a peak")
def test_what_whoever_feeds_takes_is_not_the_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(data: bytes) -> None:
        assert data * (100 << 20)

    monkeypatch.setattr(watch, "MOST_MB", 64)
    watched = watch.Watched(Target("x", feed, (AssertionError,), "bytes"))
    watched.feed(b"")
    assert len(b"x" * (200 << 20)), "taken and given back"
    watched.feed(b"")
    kept = b"x" * (100 << 20)
    watched.held += len(kept)
    watched.feed(b"")
    assert watched.findings == {}
    assert watched.grown_kb < 32 << 10
    watched.feed(b"x")
    assert watched.findings == {"memory": b"x"}


def test_a_run_tells_what_it_fed(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "tests.fuzz.run", "refused", "weights-index", "--unguided"]
    line += ["--inputs=300", f"--out={tmp_path}"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "refused " in done.stdout
    assert "inputs in" in done.stdout
    assert ", 0 findings" in done.stdout
