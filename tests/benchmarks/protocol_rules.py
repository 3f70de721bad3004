"""Rules of measuring and comparing, ours and published ones, as data that can be replayed.

Each rule says what is sent, which stretch of it is read, how often it is repeated and on what, how
two stacks are told apart, and where that is written. The sources were read in November 2026 in
stored copies; a commit or a version stands with each. Where a tool leaves something open, the
reading that serves it better is taken, and :attr:`Rule.reading` says which that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Whole:
    """All tokens of ``requests`` sent as fast as the streams allow, over the time to the last.

    At least so many that the run takes ``least_s``.
    """

    requests: int
    least_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Middle:
    """Of ``requests``: from the C-th first token to the (requests - C - 1)-th last one."""

    requests: int


@dataclass(frozen=True, kw_only=True)
class Share:
    """A run of ``length_s``, all streams at once, without a share at its begin and end."""

    length_s: float
    cut: float


@dataclass(frozen=True, kw_only=True)
class Steady:
    """Ours: streams of mixed age, one residence time R discarded, 10 R under load.

    The discarded time is at least ``discard_s``, the window between ``least_s`` and ``most_s``.
    """

    discard_s: float = 20.0
    least_s: float = 60.0
    most_s: float = 300.0


Window = Whole | Middle | Share | Steady
Decision = Literal["verdicts", "points", "best", "t intervals", "ranges"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How stacks are measured and compared; K stacks cost K times ``launches``."""

    name: str
    window: Window
    decision: Decision
    """``verdicts``: better, tie, undecided, after each round. ``points``: the greater mean is
    better. ``best``: the greater of the best runs is. ``t intervals``, ``ranges``: better when the
    t intervals, or least and greatest, of the runs do not overlap; else nothing is said."""
    decision_of: str
    """Who says so."""
    runs: int = 1
    """On one server."""
    launches: int = 1
    warm_up: int = 0
    """Requests before the first run of a launch, all answered before it begins."""
    prior: bool = False
    interval: str = "none"
    """What is stated at 95 %."""
    reading: str
    sources: tuple[str, ...]


STREAMS = 64
"""C, of every rule: the load point is the user's choice, not the rule's."""

AIPERF = "ai-dynamo/aiperf "
GUIDELLM = "vllm-project/guidellm ee7a7745 (2026-08-07) "
INFERENCEX = "SemiAnalysisAI/InferenceX 843c6254 (2026-08-21) "
ML_ENERGY = "ml-energy/benchmark c1d6557f (2026-05-09) "
MLPERF = "mlcommons/inference_policies ac93e89c (2026-07-23) "
NONE = "none published; point ranking assumed"

OURS = (
    Rule(
        name="Inferometer",
        window=Steady(),
        decision="verdicts",
        decision_of="docs/explanation/ranking.md",
        interval="t of launches",
        reading="rounds of random mirrored order, fresh prompts each, three to eight",
        sources=("docs/explanation/ranking.md",),
    ),
    Rule(
        name="Inferometer, prior",
        window=Steady(),
        decision="verdicts",
        decision_of="docs/explanation/ranking.md",
        prior=True,
        interval="t of launches",
        reading="as above; ten earlier rounds on that hardware, whose time does not count",
        sources=("docs/explanation/ranking.md",),
    ),
)

PUBLISHED = (
    Rule(
        name="AIPerf",
        window=Whole(requests=1000),
        decision="t intervals",
        decision_of='its guide: "No overlap -> Strong evidence of a real difference"',
        runs=5,
        warm_up=100,
        interval="t of runs",
        reading="five runs on one server ('recommended for most use cases') of the guide's 1,000 "
        "requests behind its 100; the same prompts each run; partial overlap says nothing",
        sources=(
            AIPERF + "0b63bdb1 docs/tutorials/multi-run-confidence.md",
            AIPERF + "13992dbd docs/tutorials/warmup.md (warm-up is drained)",
        ),
    ),
    Rule(
        name="GuideLLM",
        window=Share(length_s=60.0, cut=0.1),
        decision="points",
        decision_of=NONE,
        reading="concurrent profile with warmup=0.1, cooldown=0.1 of the README and the 60 s of "
        "getting started; tokens by the time they came, also of requests that were cut off",
        sources=(
            GUIDELLM + "README.md, section Benchmark Controls",
            GUIDELLM + "docs/getting-started/benchmark.md",
            GUIDELLM + "src/guidellm/benchmark/schemas/base.py (TransientPhaseConfig)",
            GUIDELLM + "docs/getting-started/analyze.md (comparing: run twice, then compare)",
        ),
    ),
    Rule(
        name="vllm bench sweep",
        window=Whole(requests=1000),
        decision="ranges",
        decision_of="none published; its plot draws seaborn's 95 % band of the runs: bands that "
        "do not overlap assumed",
        runs=3,
        interval="band of runs",
        reading="three runs on one server of the default 1,000 prompts at --max-concurrency; a "
        "bootstrap of three runs has least and greatest as its 95 % band",
        sources=(
            "vllm-project/vllm 9ce62135 docs/benchmarking/sweeps.md",
            "vllm-project/vllm 0031557f vllm/benchmarks/sweep/serve.py (num-runs 3, warm-up 0)",
            "vllm-project/vllm 01864b80 vllm/benchmarks/sweep/plot.py (lineplot as it comes)",
            "https://docs.vllm.ai/en/latest/cli/bench/serve/ (num-prompts 1000, seed 0)",
            "https://seaborn.pydata.org/archive/0.10/generated/seaborn.lineplot.html (ci=95)",
        ),
    ),
    Rule(
        name="InferenceX",
        window=Whole(requests=10 * STREAMS),
        decision="points",
        decision_of=NONE,
        warm_up=2 * STREAMS,
        reading="one run of 10 prompts a stream behind 2 calls a stream that are drained; lengths "
        "are those of the workload, as for every rule",
        sources=(
            INFERENCEX + "benchmarks/benchmark_lib.sh (--num-warmups 2 x concurrency)",
            INFERENCEX + "benchmarks/single_node/**/*.sh (--num-prompts CONC * 10)",
            INFERENCEX + "utils/bench_serving/benchmark_serving.py (begin and end of the run)",
        ),
    ),
    Rule(
        name="ML.ENERGY",
        window=Middle(requests=1024),
        decision="points",
        decision_of=NONE,
        reading="1,024 requests sent at once to a server of 64 sequences, one repeat",
        sources=(
            ML_ENERGY + "mlenergy/benchmark/llm/benchmark.py (RequestTracker)",
            ML_ENERGY + "configs/vllm/lm-arena-chat/benchmark.yaml",
        ),
    ),
    Rule(
        name="MLPerf Offline",
        window=Whole(requests=4388, least_s=600.0),
        decision="points",
        decision_of=NONE,
        reading="one run of 600 s and the samples of its smallest data set of an LLM, all at once "
        "to a server of 64 sequences; Server's answer is a rate under a limit, not tok/s at a "
        "load point, and is not replayed",
        sources=(
            MLPERF + "inference_rules.adoc, section Scenarios (600 s; number of runs: 1)",
            MLPERF + "inference_rules.adoc, table of benchmarks (DeepSeek-R1: 4,388 samples)",
        ),
    ),
    Rule(
        name="MLPerf, best of 3",
        window=Whole(requests=4388, least_s=600.0),
        decision="best",
        decision_of=NONE,
        launches=3,
        reading="as above, the best of three launches published: one run is required, and what "
        "is forbidden is only to take speed from one run and power from another",
        sources=(
            MLPERF + "inference_rules.adoc, sections Scenarios and LoadGen Operation",
            MLPERF + "power_measurement.adoc, Power and Performance Measurement and Reporting",
        ),
    ),
)

RULES = {rule.name: rule for rule in (*OURS, *PUBLISHED)}
