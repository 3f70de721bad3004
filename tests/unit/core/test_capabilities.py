"""What an adapter is asked, and how its answers are told apart."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from inferometer import capabilities
from inferometer.engine import (
    Adapter,
    Command,
    Completion,
    Engine,
    LaunchContext,
    LaunchSpec,
    Platform,
    Requirements,
    Unsupported,
    release,
    translated,
    valued,
)
from inferometer.plugins import Registry

CPU = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cpu")
GOLDEN = Path(__file__).parents[2] / "golden" / "engines"


@dataclass(frozen=True, slots=True)
class Tiny(Adapter):
    """Serves on CUDA alone, and says ``seed`` with each request."""

    name: str = "tiny"
    distributions: tuple[str, ...] = ("tiny",)
    versions: tuple[str, ...] = ("1.0.0", "1.1.0", "2.0.0")

    def requirements(self, platform: Platform) -> Requirements:
        if platform.accelerator == "rocm":
            raise ZeroDivisionError("oops")
        if platform.accelerator != "cuda":
            raise Unsupported(f"tiny: no locked requirements for {platform}")
        return Requirements(lock="a==1\n# b==2\nc==3 # d==4\n", distribution="tiny")

    def command(self, context: LaunchContext) -> Command:
        if context.platform.accelerator != "cuda":
            raise Unsupported("tiny: needs CUDA")
        words: dict[str, Any] = {
            "dtype": valued("--dtype"),
            "max_num_seqs": valued("--seqs"),
            "seed": lambda _: (),
            "graphs": lambda on: () if on else ("--eager",),
        }
        if release(context.version) >= (2, 0, 0):
            words["max_num_seqs"] = lambda size: ("--batch", str(size))
        flags = translated(f"tiny {context.version}", context.spec, words)
        auto = () if context.spec.max_num_seqs else ("--batch-auto",)
        return Command(argv=("tiny", *auto, *(word for flag in flags for word in flag)))

    def request(self, completion: Completion) -> dict[str, Any]:
        return {"prompt": "a"} | ({} if completion.seed is None else {"seed": completion.seed})


def wordings(found: capabilities.Capabilities, term: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(it.since, it.value, it.words) for it in found.terms[term]]


def test_a_term_is_shown_in_the_engines_words_from_the_version_that_says_it_so() -> None:
    found = capabilities.describe(Tiny(), CPU)
    assert found.serving_platform == "linux-x86_64-cuda"
    assert wordings(found, "dtype") == [("1.0.0", "float16", ("--dtype", "float16"))]
    assert wordings(found, "max_num_seqs") == [
        ("1.0.0", "64", ("without --batch-auto", "--seqs", "64")),
        ("2.0.0", "64", ("without --batch-auto", "--batch", "64")),
    ]
    assert wordings(found, "graphs") == [("1.0.0", "true", ()), ("1.0.0", "false", ("--eager",))]
    assert wordings(found, "seed") == [("1.0.0", "7", ("request: seed=7",))]


def test_a_refusal_is_shown_once_with_its_reason() -> None:
    (only,) = capabilities.describe(Tiny(), CPU).terms["stream_interval"]
    assert only.refused == "stream_interval has no equivalent in this engine"
    assert only.words == ()


def test_what_an_adapter_raises_is_an_answer() -> None:
    found = capabilities.describe(Tiny(), CPU)
    answers = {it.name: (it.given, it.refused) for it in found.requirements}
    assert answers["linux-x86_64-cuda"] == ("tiny, 2 pins", "")
    assert answers["linux-aarch64-rocm"] == ("", "raised ZeroDivisionError: oops")
    profiles = {it.name: it.refused for it in found.profiles}
    assert profiles["defaults"] == ""
    assert "max_num_batched_tokens has no equivalent" in profiles["equalized"]


def test_every_term_of_a_study_is_asked_for() -> None:
    named = {known.name for known in fields(LaunchSpec)} - {"extra_args", "extra_env"}
    assert set(capabilities.EXAMPLES) == named
    assert all(
        len(values) == len(set(map(str, values))) for values in capabilities.EXAMPLES.values()
    )


@pytest.mark.parametrize("name", ["sglang", "tensorrt-llm", "transformers", "vllm"])
def test_every_bundled_engine_answers_for_every_term_in_every_version(name: str) -> None:
    engine: Engine = Registry().engines()[name]
    found = capabilities.describe(engine, CPU)
    for term, answers in found.terms.items():
        assert answers[0].since == engine.versions[0], term
        assert not any("raised" in it.refused for it in answers), term
    assert sum(not answers[-1].refused for answers in found.terms.values()) >= 6
    assert list(found.versions) == sorted(found.versions, key=release)


@pytest.mark.parametrize("name", ["sglang", "tensorrt-llm", "vllm"])
def test_the_versions_are_those_whose_options_were_read(name: str) -> None:
    read = [path.stem.rpartition("-")[2] for path in GOLDEN.glob(f"{name}-*.txt")]
    assert sorted(map(release, read)) == list(map(release, Registry().engines()[name].versions))
