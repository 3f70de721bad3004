"""A small comparison, built from whole numbers: two stacks, a dense model and its MoE twin."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports import factory_costs
from tests.unit.reports.figures import (
    DOLLARS,
    JOULES,
    MODELS,
    POINT,
    PRICE_USD_PER_HOUR,
    SPEEDS,
    TOKENS,
    WATTS,
    absent,
    value,
)

from inferometer.comparison import (
    Architecture,
    Cell,
    Check,
    Comparison,
    Difference,
    Kind,
    MetricInfo,
    Missing,
    Model,
    MoeRatio,
    Noise,
    Objective,
    Parity,
    PhaseParts,
    PhaseSplit,
    RankEntry,
    Ranking,
    Setting,
    Stack,
    Start,
    Unranked,
    Value,
)
from inferometer.records import Device, MeterInfo


def cell(stack: str, architecture: Architecture) -> Cell:
    speed = SPEEDS[architecture][stack]
    joules = WATTS / speed
    values = {
        TOKENS: value(speed, "tok/s"),
        "ttft_p50_ms": value(41.26, "ms", half=0.2),
        "ttft_p99_ms": absent("ms", "too_few_samples"),
        "tpot_p50_ms": value(8000 / speed, "ms"),
        "interactivity_tok_s_user": value(speed / 8, "tok/s/user"),
        f"{JOULES}@rapl": replace(
            value(joules * 0.9, "J/token"), detail="uncorroborated: one instrument alone"
        ),
        "mean_power_w@rapl": value(WATTS * 0.9, "W"),
        "net_loaded_j_per_output_token@rapl": replace(
            value(joules * 0.5, "J/token"),
            detail="uncorroborated: one instrument alone; net of loaded idle: 20.0 W over 10 s",
        ),
        "net_bare_j_per_output_token@rapl": absent("J/token", "no_baseline"),
        f"{JOULES}@declared": value(joules, "J/token", "estimated"),
        f"{JOULES}@nvml": absent("J/token", "no_sensor"),
        DOLLARS: value(PRICE_USD_PER_HOUR / 3600 / speed * 1e6, "USD/Mtok", "derived"),
    }
    failing = stack == "transformers" and architecture == "moe"
    checks = [
        Check(name="littles_law", rule="within 2 %", value="0.4 %", verdict="pass"),
        Check(
            name="error_rate",
            rule="< 1 %",
            value="0.5 %" if failing else "0 %",
            verdict="warn" if failing else "pass",
            detail="2 of 400 requests timed out" if failing else "",
        ),
    ]
    return Cell(
        id=f"{stack}-{architecture}",
        stack=stack,
        model=MODELS[architecture],
        architecture=architecture,
        workload=POINT[0],
        load=POINT[1],
        launches=[f"r{n}-{stack}-{architecture}" for n in (1, 2, 3)],
        values=values,
        checks=checks,
        valid=True,
        commands=[f"python -m {stack}.server --model '/models/{MODELS[architecture]}' --port 8000"],
    )


def entries(
    cells: list[Cell], key: str, *, separated: bool, higher: bool = True
) -> list[RankEntry]:
    found = sorted(cells, key=lambda c: c.values[key].value or 0.0, reverse=higher)
    best = found[0].values[key]
    places = [1, 2] if separated else [1, 1]
    result = []
    for one, place in zip(found, places, strict=True):
        seen = one.values[key]
        assert seen.value is not None
        assert best.value is not None
        first = one is found[0]
        ratio = value(seen.value / best.value, "ratio", seen.kind, half=0.0 if first else 0.05)
        result.append(
            RankEntry(
                stack=one.stack,
                cell=one.id,
                place=place,
                place_low=1 if not separated else place,
                place_high=2 if not separated else place,
                value=seen,
                ratio_to_best=ratio,
                verdict="best" if first else ("behind" if separated else "undecided"),
                precision="bfloat16",
            )
        )
    return result


def ranking(
    cells: list[Cell], objective: Objective, metric: str, *, meter: str | None = None
) -> Ranking:
    architecture = cells[0].architecture
    separated = architecture == "dense"
    key = f"{metric}@{meter}" if meter else metric
    by_design = "energy follows throughput here by construction: one constant wattage"
    kind: Kind = cells[0].values[key].kind
    return Ranking(
        objective=objective,
        metric=metric,
        meter=meter,
        primary=meter in {None, "rapl"},
        model=MODELS[architecture],
        architecture=architecture,
        workload=POINT[0],
        load=POINT[1],
        n_rounds=3,
        entries=entries(cells, key, separated=separated, higher=objective == "throughput"),
        unranked=[],
        separated=separated,
        minimum_detectable_percent=6.0,
        follows_throughput=(
            by_design
            if meter == "declared"
            else "cost follows throughput here by construction: one hourly price for every stack"
            if objective == "cost"
            else None
        ),
        kind=kind,
    )


def rankings(cells: list[Cell]) -> list[Ranking]:
    found: list[Ranking] = []
    for architecture in MODELS:
        own = [one for one in cells if one.architecture == architecture]
        found += [
            ranking(own, "throughput", TOKENS),
            ranking(own, "energy", JOULES, meter="rapl"),
            ranking(own, "energy", JOULES, meter="declared"),
            ranking(own, "cost", DOLLARS),
        ]
    return found


def stack(id_: str, version: str) -> Stack:
    return Stack(
        id=id_,
        label=f"{id_} {version}",
        engine=id_,
        version=version,
        profile="defaults",
        precision="bfloat16",
        parallelism="tp1",
        command=f"python -m {id_}.server --model /models/smol-135m --port 8000",
        environment_variables={"HF_HUB_OFFLINE": "1", "MESSAGE": "two words"},
        environment={"kind": "venv", "python": "3.11.9"},
        resolved_configuration={"max_num_seqs": 256 if id_ == "vllm" else 64, f"{id_}_only": True},
    )


def start(stack_: str, model: str) -> Start:
    return Start(
        stack=stack_,
        model=model,
        launch=f"r1-{stack_}-{model}",
        script=f"MODEL=/models/{model}\n"
        "export HF_HUB_OFFLINE=1\n"
        "export MESSAGE='two words'\n"
        f'python -m {stack_}.server --model "$MODEL" --port 8000',
        places={"MODEL": f"the model {model}"},
    )


def models() -> list[Model]:
    return [
        Model(
            name=name,
            architecture=architecture,
            total_parameters=135_000_000 if architecture == "dense" else 500_000_000,
            active_parameters=135_000_000 if architecture == "dense" else 200_000_000,
            weights_bytes=None if architecture == "moe" else 270_000_000,
            precision="bfloat16",
            sha256="ab" * 32,
            twin_of=MODELS["dense"] if architecture == "moe" else None,
            routing="synthetic" if architecture == "moe" else "none",
        )
        for architecture, name in MODELS.items()
    ]


def metrics() -> list[MetricInfo]:
    rows = [
        (TOKENS, "Output throughput", "tok/s", "higher", "output tokens in the window / window"),
        ("ttft_p50_ms", "TTFT p50", "ms", "lower", "median of first content event - send"),
        ("ttft_p99_ms", "TTFT p99", "ms", "lower", "99th percentile of the same"),
        ("tpot_p50_ms", "TPOT p50", "ms", "lower", "median of (E2E - TTFT) / (tokens - 1)"),
        ("interactivity_tok_s_user", "Interactivity", "tok/s/user", "higher", "1000 / TPOT p50"),
        (JOULES, "Energy per output token", "J/token", "lower", "J in window / output tokens"),
        ("mean_power_w", "Mean power", "W", "lower", "J in window / window"),
        (
            "net_loaded_j_per_output_token",
            "Energy per output token, net of loaded idle",
            "J/token",
            "lower",
            "(J in window - idle watts x window) / output tokens",
        ),
        (
            "net_bare_j_per_output_token",
            "Energy per output token, net of bare idle",
            "J/token",
            "lower",
            "(J in window - idle watts x window) / output tokens",
        ),
        (DOLLARS, "Bill per million output tokens", "USD/Mtok", "lower", "USD/s / (tok/s) * 1e6"),
        *factory_costs.METRICS,
    ]
    return [
        MetricInfo(
            id=id_,
            title=title,
            unit=unit,
            direction="higher" if direction == "higher" else "lower",
            formula=formula,
        )
        for id_, title, unit, direction, formula in rows
    ]


def moe_ratios() -> list[MoeRatio]:
    return [
        MoeRatio(
            stack=name,
            dense=MODELS["dense"],
            moe=MODELS["moe"],
            match="the same function, by sparse upcycling",
            metric=metric,
            meter=meter,
            workload=POINT[0],
            load=POINT[1],
            ratio=value(speed if metric == TOKENS else 1 / speed, "ratio"),
        )
        for metric, meter in ((TOKENS, None), (JOULES, "rapl"))
        for name, speed in (
            (name, SPEEDS["moe"][name] / SPEEDS["dense"][name]) for name in SPEEDS["dense"]
        )
    ]


def comparison() -> Comparison:
    cells = [cell(name, kind) for kind in MODELS for name in ("vllm", "transformers")]
    return Comparison(
        title="Two stacks on one CPU",
        preset="quick look",
        created="2026-11-21T12:00:00+00:00",
        plan_sha256="cd" * 32,
        rounds_planned=3,
        rounds_complete=3,
        window_s=30.0,
        inferometer_version="0.1.0",
        host={"cpu": {"model": "Example CPU", "cores": 2}, "memory_bytes": 8_000_000_000},
        price=Value(
            value=PRICE_USD_PER_HOUR,
            unit="USD/h",
            kind="declared",
            detail="example.com price list, 2026-11-01, on-demand",
        ),
        stacks=[stack("vllm", "0.32.0"), stack("transformers", "5.19.0")],
        models=models(),
        metrics=metrics(),
        cells=cells,
        rankings=rankings(cells),
        moe_ratios=moe_ratios(),
        parity=[
            Parity(
                left="vllm/smol-135m",
                right="transformers/smol-135m",
                prompts=16,
                tokens=640,
                agreement=0.9531,
                until_divergence=0.99,
                identical_prompts=14,
                distance=0.0385,
                positions=1008,
                distance_limit=0.1,
                agreement_limit=0.9,
                verdict="pass",
            )
        ],
        missing=[
            Missing(
                what="accelerator energy (nvml)",
                reason="no_sensor",
                detail="no NVIDIA driver on this host",
                fix="run on a machine with an NVIDIA GPU",
            )
        ],
        warnings=[],
        notes=["Rounds are mirrored: each second round runs the one before in reverse."],
        study='name = "Two stacks on one CPU"\npreset = "quick look"\n',
        differences=[
            Difference(
                model=MODELS["dense"],
                left="vllm",
                right="transformers",
                settings=[
                    Setting(name="max_num_seqs", left="256 (asked 512)", right="64"),
                    Setting(name="prefix_caching", left="on", right="off"),
                ],
                equal=["dtype", "tensor_parallel_size"],
                unresolved=["graphs (transformers)"],
            )
        ],
        meters=meters(),
        phases=phases(),
        noise=noise(),
        costs=factory_costs.costs(),
        starts=[
            start(name, model) for model in MODELS.values() for name in ("vllm", "transformers")
        ],
    )


def meters() -> list[MeterInfo]:
    package = Device(name="package-0", model="Example CPU")
    return [
        MeterInfo(
            name="rapl",
            scope="L1",
            kind="measured",
            method="package energy counters (RAPL) through Linux powercap",
            instrument="counter",
            boundary="package",
            devices=[package, Device(name="psys", left_out="contains package-0")],
            update_ms=1.0,
            resolution=0.0000153,
            permission="root",
        ),
        MeterInfo(
            name="declared",
            scope="L2",
            kind="declared",
            method="a constant 50 W for the whole machine, declared in the study",
            follows_throughput=True,
        ),
        MeterInfo(
            name="nvml",
            scope="L0",
            kind="measured",
            method="energy counter of NVML",
            reason="no_sensor",
            detail="no NVIDIA driver on this host",
        ),
    ]


def phases() -> list[PhaseSplit]:
    told = PhaseSplit(
        stack="vllm",
        model=MODELS["dense"],
        meter="rapl",
        load=POINT[1],
        idle_w=value(20.0, "W", "derived"),
        prefill_j_per_token=value(0.01, "J/token", "derived"),
        decode_j_per_token=value(0.1, "J/token", "derived"),
        windows=9,
        workloads=3,
        held_out={"chat": -0.031},
        parts=[
            PhaseParts(
                workload=POINT[0],
                windows=3,
                prefill_j=500.0,
                decode_j=1600.0,
                idle_j=1800.0,
                unallocated_j=-100.0,
                metered_j=3800.0,
            )
        ],
        engine_prefill_share=0.25,
    )
    why = "no stretch of loaded idle was metered"
    none = Value(value=None, unit="J/token", kind="derived", reason="no_baseline", detail=why)
    refused = PhaseSplit(
        stack="transformers",
        model=MODELS["dense"],
        meter="rapl",
        load=POINT[1],
        idle_w=none,
        prefill_j_per_token=none,
        decode_j_per_token=none,
        windows=9,
        workloads=3,
    )
    return [told, refused]


def noise() -> list[Noise]:
    told = Noise(
        objective="throughput",
        metric="output_tok_s",
        meter=None,
        model=MODELS["dense"],
        workload=POINT[0],
        load=POINT[1],
        profile="defaults",
        launches=6,
        launch_sd_percent=0.9,
        window_sd_percent=1.2,
        window_sd_reason="",
        detectable_percent=6.0,
        beside_s=180.0,
        window_s=60.0,
        windows=2,
    )
    why = "a fifth of it holds fewer than 10 values of the sensor"
    energy = replace(
        told,
        objective="energy",
        metric=JOULES,
        meter="rapl",
        window_sd_percent=None,
        window_sd_reason=why,
        windows=None,
    )
    return [told, energy]


def unranked(name: str) -> Unranked:
    return Unranked(stack=name, reason="no_sensor", detail="asked for nvml")
