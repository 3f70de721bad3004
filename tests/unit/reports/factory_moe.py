"""A comparison of architectures made up of round numbers: one MoE model and two dense ones.

Against the dense model of its total size the MoE is better, against the small one worse: the
answer depends on the match.
"""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports import factory
from tests.unit.reports.figures import DOLLARS, JOULES, TOKENS, absent, value

from inferometer.comparison import (
    Architectures,
    Comparison,
    Finding,
    Hardware,
    Interaction,
    KeptOut,
    Knobs,
    Match,
    MatchDependence,
    Model,
    ModelPair,
    MoeRatio,
    OrderChange,
    Roofline,
    Value,
)
from inferometer.comparison.architectures import MatchKind, OperatingPoint, Side

MOE, SMALL, LARGE = "wide-30b-a3b", "dense-8b", "dense-32b"
LOADS = ("1 stream", "4 streams", "16 streams")
WORKLOAD = "chat"
METRICS = ((TOKENS, None), (JOULES, "rapl"), (DOLLARS, None))
GAINS = {
    ("vllm", SMALL): (0.8, 0.6, 0.5),
    ("vllm", LARGE): (3.0, 2.0, 1.5),
    ("transformers", SMALL): (0.5, 0.4, 0.4),
    ("transformers", LARGE): (2.0, 1.5, 1.0),
}
"""Times the dense model's tok/s at each load point."""
HALF = 0.08
NONE = absent("ratio", "no_sensor", "derived")


def better(ratio: Value, metric: str) -> Side:
    assert ratio.value is not None
    if ratio.low is not None and ratio.high is not None and ratio.low <= 1 <= ratio.high:
        return "undecided"
    return "moe" if (ratio.value > 1) == (metric == TOKENS) else "dense"


def ratio(
    stack: str, dense: str, metric: str, *, meter: str | None, gain: float, load: str
) -> MoeRatio:
    number = gain if metric == TOKENS else 1 / gain
    found = value(number, "ratio", "derived", half=HALF)
    if metric == JOULES and stack == "transformers" and load == LOADS[0]:
        found = NONE
    return MoeRatio(
        stack=stack,
        dense=dense,
        moe=MOE,
        match="nothing: quality differs",
        metric=metric,
        meter=meter,
        workload=WORKLOAD,
        load=load,
        ratio=found,
        better=None if found.value is None else better(found, metric),
    )


def ratios() -> list[MoeRatio]:
    found = []
    for (stack, dense), gains in GAINS.items():
        for metric, meter in METRICS:
            one = [
                ratio(stack, dense, metric, meter=meter, gain=gain, load=load)
                for gain, load in zip(gains, LOADS, strict=True)
            ]
            speed = "at 20 tok/s/user"
            equal = replace(one[1], at="interactivity", load=speed, interactivity=20.0)
            best = replace(
                one[2], at="best", load="each at its best", dense_load=LOADS[2], moe_load=LOADS[1]
            )
            found += [*one, equal, best]
    return found


def matches(dense: str) -> list[Match]:
    large = dense == LARGE
    total = 32e9 if large else 8e9
    rows: list[tuple[MatchKind, bool | None, float | None, float | None, str, str]] = [
        (
            *("total_parameters", large, total, 30e9, "parameters"),
            "6.2 % fewer; 15 % are allowed" if large else "3.75 times as many; 15 % are allowed",
        ),
        ("active_parameters", False, total, 3e9, "parameters", "far fewer; 15 % are allowed"),
        ("memory", large, 2 * total, 60e9, "bytes", "one accelerator each or not"),
        ("quality", None, None, None, "score", "no score is declared"),
    ]
    return [
        Match(kind=kind, holds=holds, dense=left, moe=right, unit=unit, detail=detail)
        for kind, holds, left, right, unit, detail in rows
    ]


def pairs() -> list[ModelPair]:
    return [
        ModelPair(
            dense=dense,
            moe=MOE,
            matches=matches(dense),
            overhead=False,
            statement=f"The quality of the two is not matched ({dense}).",
        )
        for dense in (SMALL, LARGE)
    ]


def finding(match: MatchKind, dense: str, side: Side, number: float) -> Finding:
    return Finding(
        match=match,
        at="load",
        load=LOADS[2],
        dense=dense,
        better=side,
        ratio=value(number, "ratio", "derived", half=HALF),
    )


def dependences() -> list[MatchDependence]:
    opposite = [
        finding("total_parameters", LARGE, "moe", 1.5),
        finding("active_parameters", SMALL, "dense", 0.5),
    ]
    points = [
        replace(one, better="undecided", ratio=replace(one.ratio, n=1, low=None, high=None))
        for one in opposite
    ]
    sure = MatchDependence(
        stack="vllm",
        moe=MOE,
        metric=TOKENS,
        meter=None,
        workload=WORKLOAD,
        findings=opposite,
        depends=True,
        point_only=False,
    )
    return [
        sure,
        replace(sure, metric=JOULES, meter="rapl", findings=points, point_only=True),
        replace(sure, stack="transformers", findings=opposite[:1], depends=None),
        replace(sure, stack="transformers", metric=DOLLARS, depends=False),
    ]


def interactions() -> list[Interaction]:
    found = []
    for metric, meter in METRICS[:2]:
        for place, load in enumerate(LOADS):
            gains = [GAINS[stack, LARGE][place] for stack in ("vllm", "transformers")]
            more = gains[0] / gains[1]
            number = value(more if metric == TOKENS else 1 / more, "ratio", "derived", half=HALF)
            at: OperatingPoint = "load"
            missing = metric == JOULES and load == LOADS[0]
            found.append(
                Interaction(
                    stack="vllm",
                    other="transformers",
                    dense=LARGE,
                    moe=MOE,
                    metric=metric,
                    meter=meter,
                    workload=WORKLOAD,
                    load=load,
                    at=at,
                    ratio=NONE if missing else number,
                    gains_more="" if missing else "vllm",
                )
            )
    return found


def order_changes() -> list[OrderChange]:
    dense, moe = (value(number, "ratio", "derived", half=HALF) for number in (0.8, 1.2))
    changed = OrderChange(
        stack="vllm",
        other="transformers",
        dense=LARGE,
        moe=MOE,
        metric=TOKENS,
        meter=None,
        workload=WORKLOAD,
        load=LOADS[0],
        at="load",
        dense_ratio=dense,
        moe_ratio=moe,
        changed=True,
    )
    return [
        changed,
        replace(changed, load=LOADS[1], dense_ratio=moe, changed=False),
        replace(changed, load=LOADS[2], dense_ratio=NONE, changed=None),
    ]


def architectures() -> Architectures:
    return Architectures(
        pairs=pairs(),
        interactions=interactions(),
        order_changes=order_changes(),
        dependences=dependences(),
        kept_out=[
            KeptOut(model="twin", reason="synthetic_routing", detail="a twin of dense-8b"),
        ],
        knobs=[
            Knobs(
                stack="vllm",
                model=model,
                settings={"tensor_parallel": "2", "max_num_seqs": "256"},
                running=dict(zip(LOADS, (1.0, 3.9, 15.5), strict=True)),
            )
            for model in (MOE, SMALL)
        ],
        kind="derived",
    )


def hardware() -> list[Hardware]:
    return [
        Hardware(
            name="Example accelerator",
            count=2,
            kind="declared",
            bytes_s=8e12,
            flops={"bfloat16": 2e15, "fp8": 4e15},
            memory_bytes=160e9,
            tdp_w=None,
            source="example.com data sheet",
            seen="2026-11-01",
        )
    ]


def roofline(stack: str, model: str, place: int) -> Roofline:
    batch = float(4**place)
    moe = model == MOE
    touched = 128 * (1 - (1 - 8 / 128) ** batch)
    share = {"vllm": 0.5, "transformers": 0.2}[stack] * (0.7 if moe else 1) * (1 - 0.1 * place)
    none = absent("share", "not_told", "derived")

    def derived(number: float, unit: str) -> Value:
        return value(number, unit, "derived")

    dense = absent("experts", "unsupported", "derived")
    return Roofline(
        cell=f"{stack}-{model}-{place}",
        stack=stack,
        model=model,
        workload=WORKLOAD,
        load=LOADS[place],
        hardware="Example accelerator",
        batch=value(batch, "sequences"),
        batch_source="server" if stack == "vllm" else "client",
        context=value(500.0, "tokens"),
        experts=128 if moe else None,
        top_k=8 if moe else None,
        experts_touched=derived(touched, "experts") if moe else dense,
        experts_seen=absent("experts", "not_told", "derived"),
        weight_bytes=derived(4e9, "B"),
        cache_bytes=derived(1e9, "B"),
        flops=derived(6e9 * batch, "FLOP"),
        step_ms=derived(10.0, "ms"),
        bandwidth_share=derived(share, "share"),
        compute_share=derived(share / 10, "share") if moe else none,
        bound="memory",
        ceiling_tok_s=derived(1000.0, "tok/s"),
        achieved=(
            none
            if stack == "transformers" and place == 0
            else replace(derived(share, "share"), detail="" if moe else "of memory alone")
        ),
    )


def comparison() -> Comparison:
    base = factory.comparison()
    models = [
        Model(
            name=name,
            architecture="moe" if name == MOE else "dense",
            total_parameters=None,
            active_parameters=None,
            weights_bytes=None,
            precision="bfloat16",
            sha256="ef" * 32,
            routing="trained" if name == MOE else "none",
        )
        for name in (SMALL, LARGE, MOE)
    ]
    return replace(
        base,
        models=models,
        moe_ratios=ratios(),
        architectures=architectures(),
        hardware=hardware(),
        rooflines=[
            roofline(stack, model, place)
            for stack in ("vllm", "transformers")
            for model in (SMALL, LARGE, MOE)
            for place in range(3)
        ],
    )
