"""An adapter of an engine that nobody here knows, proved as its author would prove it.

Its server tells counters as JSON that drains, takes a configuration file, and wants ``--port=N``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inferometer.engine import (
    Adapter,
    Command,
    Completion,
    Counter,
    FailureClass,
    LaunchContext,
    Metrics,
    Platform,
    Requirements,
    Unsupported,
    translated,
)
from inferometer.testing import conformance

WORDS: dict[str, Any] = {
    "dtype": lambda dtype: ("precision", dtype),
    "max_num_seqs": lambda size: ("slots", size),
    "prefix_caching": lambda on: ("prefix_cache", on),
}


STATS = Metrics(
    path="/stats",
    form="json",
    drains=True,
    counters=(
        Counter("tokens.prompt", "prompt_tokens"),
        Counter("tokens.generated", "output_tokens"),
        Counter("done", "requests_finished"),
    ),
)


@dataclass(frozen=True, slots=True)
class Stranger(Adapter):
    name: str = "stranger"
    distributions: Sequence[str] = ("stranger-server",)
    failures: Sequence[FailureClass] = (
        FailureClass(r"[Aa]ddress already in use", "port_in_use", "Run again."),
        FailureClass(r"unrecognized arguments|inputs are not permitted", "bad_flag", "Correct it."),
    )
    metrics: Metrics | None = STATS

    def requirements(self, platform: Platform) -> Requirements:
        if platform.accelerator != "cpu":
            raise Unsupported(f"stranger: not for {platform}", remedy="Use a processor.")
        return Requirements(lock="stranger-server==1.0\n", distribution="stranger-server")

    def command(self, context: LaunchContext) -> Command:
        said = dict(translated(self.name, context.spec, WORDS))
        file = context.files / "stranger.json"
        return Command(
            argv=(
                *(str(context.python.parent / "stranger"), f"--config={file}"),
                *(f"--host={context.host}", f"--port={context.port}"),
                *context.spec.extra_args,
            ),
            env=dict(context.spec.extra_env),
            files={"stranger.json": json.dumps({"model": str(context.model_path), **said})},
        )

    def request(self, completion: Completion) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": completion.model,
            "prompt": completion.prompt_text,
            "max_tokens": completion.output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": completion.stream,
        }
        if completion.stream:
            body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        return body


test_conformance = conformance.suite(Stranger())
