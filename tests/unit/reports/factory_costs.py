"""The costs of the small comparison: two hours, one bill a cell, whole numbers throughout.

A request has 4,000 tokens in and 1,000 out. vLLM on the dense model gives 200 output tok/s at
0.36 USD an hour: 0.50 USD of bill per million output tokens, of which input bears 40 %: 0.30 for
the output, 0.05 for a million of input, four times as many.
"""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports.figures import (
    DOLLARS,
    MODELS,
    POINT,
    PRICE_USD_PER_HOUR,
    SPEEDS,
    absent,
    value,
)

from inferometer.comparison import Architecture, Kind, Value
from inferometer.comparison.costs import (
    ApiEven,
    ArchitectureCost,
    Costs,
    Demand,
    Division,
    Fleet,
    FleetRow,
    Flip,
    Hour,
    Margin,
    Origin,
    OwnOrRent,
    Part,
    PricedCell,
    ResponseCost,
    ResponsePart,
    SiteRow,
    Swing,
    Tornado,
)

RENTED, OWNED = "rented", "owned"
OUTPUT_SHARE = 0.6
INPUT_PER_OUTPUT = 4
OUTPUT_TOKENS = 1000
USERS = 8
PRICES = {RENTED: PRICE_USD_PER_HOUR, OWNED: 0.72}
METRICS = [
    ("usd_per_mtok_output", "Output's part", "USD/Mtok", "lower", "output's share x bill / tokens"),
    ("usd_per_mtok_input", "Input's part", "USD/Mtok", "lower", "input's share x bill / tokens"),
    ("usd_per_user_hour", "Cost per user-hour", "USD/h", "lower", "USD/h / mean streams"),
]


def exact(number: float, unit: str, kind: Kind = "estimated") -> Value:
    return Value(value=number, unit=unit, kind=kind, n=3)


def hours() -> list[Hour]:
    rent = Origin(
        source="example.com price list",
        date="2026-11-01",
        age_days=20,
        stale=False,
        contract="on-demand",
        region="eu-north",
    )
    own = Origin(
        source="offer of Example Ltd",
        date="2026-07-01",
        age_days=143,
        stale=True,
        contract="owned",
        region="eu-north",
        detail="electricity of 2026-07-01",
    )
    return [
        Hour(
            name=RENTED,
            way="rented",
            origin=rent,
            gpus=2,
            usd_per_hour=exact(PRICES[RENTED], "USD/h"),
            parts=[
                Part(name="list price", usd=0.40, formula="0.20 USD per GPU-hour x 2 GPUs"),
                Part(name="discount", usd=-0.04, formula="10 % of 0.40"),
            ],
        ),
        Hour(
            name=OWNED,
            way="owned",
            origin=own,
            gpus=2,
            usd_per_hour=exact(PRICES[OWNED], "USD/h"),
            parts=[
                Part(name="server", usd=0.60, formula="21,024 USD / 35,040 h"),
                Part(name="electricity", usd=0.12, formula="1 kW x 1.2 x 0.10 USD/kWh"),
            ],
            warnings=["offer of Example Ltd: no cost of capital is given"],
        ),
    ]


def priced(hour: str, architecture: Architecture, stack: str) -> PricedCell:
    usd, speed = PRICES[hour], SPEEDS[architecture][stack]
    bill = usd / 3600 / speed * 1e6
    output, input_ = bill * OUTPUT_SHARE, bill * (1 - OUTPUT_SHARE) / INPUT_PER_OUTPUT
    per_request = bill * OUTPUT_TOKENS / 1e6
    return PricedCell(
        hour=hour,
        cell=f"{stack}-{architecture}",
        stack=stack,
        model=MODELS[architecture],
        workload=POINT[0],
        load=POINT[1],
        usd_per_hour=exact(usd, "USD/h"),
        parts=next(it.parts for it in hours() if it.name == hour),
        division=Division(
            method="client",
            input_share=1 - OUTPUT_SHARE,
            output_share=OUTPUT_SHARE,
            idle_share=0.0,
            cached_tokens_share=0.25,
            detail="by time, queueing included",
        ),
        values={
            DOLLARS: value(bill, "USD/Mtok", "estimated"),
            "usd_per_mtok_output": value(output, "USD/Mtok", "estimated"),
            "usd_per_mtok_input": value(input_, "USD/Mtok", "estimated"),
            "usd_per_mtok_total": value(bill / (1 + INPUT_PER_OUTPUT), "USD/Mtok", "estimated"),
            "output_tok_per_usd": value(1e6 / output, "tok/USD", "estimated"),
            "input_tok_per_usd": value(1e6 / input_, "tok/USD", "estimated"),
            "total_tok_per_usd": value(1e6 / bill * (1 + INPUT_PER_OUTPUT), "tok/USD", "estimated"),
            "usd_per_request": value(per_request, "USD", "estimated"),
            "usd_per_good_request": absent("USD", "slo_never_met"),
            "usd_per_user_hour": value(usd / USERS, "USD/h", "estimated"),
        },
        ranked=True,
    )


def flip(hour: str, architecture: Architecture) -> Flip:
    usd, speeds = PRICES[hour], SPEEDS[architecture]
    ratio = speeds["transformers"] / speeds["vllm"]
    model = MODELS[architecture]
    return Flip(
        hour=hour,
        model=model,
        workload=POINT[0],
        load=POINT[1],
        leader="vllm",
        follower="transformers",
        price_ratio=value(ratio, "ratio", "derived"),
        leader_usd_per_hour=exact(usd, "USD/h"),
        follower_usd_per_hour=exact(usd, "USD/h"),
        flip_usd_per_hour=value(usd * ratio, "USD/h", "estimated"),
        electricity_usd_per_kwh=absent("USD/kWh", "out_of_range") if hour == OWNED else None,
        sentence=f"transformers costs the same at {hour} when its hour costs "
        f"{usd * ratio:.3g} USD.",
    )


def swing(name: str, low: float, high: float, *, assumed: bool) -> Swing:
    return Swing(
        input=name,
        unit="USD",
        base_input=1.0,
        low_input=0.8,
        high_input=1.2,
        at_low=low,
        at_high=high,
        assumed=assumed,
    )


def tornados() -> list[Tornado]:
    return [
        Tornado(
            hour=OWNED,
            cell="vllm-dense",
            metric=DOLLARS,
            unit="USD/Mtok",
            base=1.0,
            swings=[
                swing("server_usd", 0.8, 1.2, assumed=True),
                swing("pue", 0.95, 1.05, assumed=False),
                swing("staff", 1.0, 1.0, assumed=False),
            ],
        ),
        Tornado(
            hour=RENTED,
            cell="vllm-dense",
            metric="own_over_api",
            unit="ratio",
            base=0.25,
            swings=[swing("apis.discount", 0.2, 0.3, assumed=True)],
            of="public-api",
        ),
        Tornado(
            hour="",
            cell="declared prices",
            metric="usd_per_response",
            unit="USD",
            base=0.0273,
            swings=[swing("attempts", 0.025, 0.03, assumed=True)],
        ),
    ]


def monthly() -> Tornado:
    return Tornado(
        hour=RENTED,
        cell="vllm-dense",
        metric="usd_per_month",
        unit="USD",
        base=18_659.0,
        swings=[
            Swing(
                input="spare",
                unit="replicas",
                base_input=1,
                low_input=0,
                high_input=2,
                at_low=18_396.0,
                at_high=18_922.0,
                assumed=True,
                whole=True,
            )
        ],
        of="eu-north",
    )


def api() -> ApiEven:
    origin = replace(hours()[0].origin, source="api.example.com", contract="", region="")
    return ApiEven(
        api="public-api",
        origin=origin,
        hour=RENTED,
        cell="vllm-dense",
        input_tokens=4000,
        cached_tokens=1000,
        output_tokens=OUTPUT_TOKENS,
        api_usd_per_request=0.002,
        own_usd_per_request=value(0.0005, "USD", "estimated"),
        ratio=value(0.25, "ratio", "estimated"),
        flip_usd_per_hour=value(1.44, "USD/h", "estimated"),
        flip_utilisation=value(0.25, "ratio", "estimated"),
        flip_requests_per_day=value(4320, "requests/day", "estimated"),
        flip_discount=value(0.75, "ratio", "estimated"),
        sentence="Own costs 0.250x of public-api for the same requests.",
    )


def response() -> ResponseCost:
    return ResponseCost(
        at="vllm-dense",
        hour=RENTED,
        attempts=1.2,
        usd=exact(0.0273, "USD"),
        energy_j=absent("J", "no_sensor"),
        parts=[
            ResponsePart(
                name="output", usd=0.027, energy_j=None, formula="150 tokens x 1.2 x 150 USD/M"
            ),
            ResponsePart(name="guardrail", usd=0.0003, energy_j=2.0, formula="150 x 2 USD/M"),
        ],
        warnings=["output at 150 USD per million tokens: is that the price of one token?"],
    )


def demand() -> Demand:
    return Demand(
        workload="support-bot",
        requests_per_day=1_000_000,
        requests_per_day_now=500_000,
        shape="flat",
        hourly=[1 / 24] * 24,
        peak_to_mean=1.0,
        growth_per_month=0.06,
        months=12,
        headroom=0.2,
        spare=1,
        input_tokens=4000,
        output_tokens=OUTPUT_TOKENS,
        slo="TTFT under 500 ms for 99 % of the requests",
        formula="1,000,000 requests / 86,400 s x 1.2",
    )


def fleet_row(stack: str, replicas: int, usd: float) -> FleetRow:
    return FleetRow(
        hour=RENTED,
        region="eu-north",
        stack=stack,
        model=MODELS["dense"],
        architecture="dense",
        cell=f"{stack}-dense",
        basis="from tokens",
        capacity_requests_s=value(SPEEDS["dense"][stack] / OUTPUT_TOKENS, "requests/s", "derived"),
        peak_requests_s=14.0,
        replicas=value(replicas, "replicas", "derived"),
        gpus=2 * replicas,
        power_kw=replace(exact(replicas, "kW"), detail="metered package-0 x PUE 1.2"),
        energy_kwh_per_month=exact(replicas * 730, "kWh"),
        carbon_kg_per_month=absent("kg", "not_declared"),
        usd_per_month=replace(
            value(usd, "USD", "estimated"), detail=f"{replicas} replicas x 730 h x 0.36 USD/h"
        ),
        usd_per_request=exact(usd / 30e6, "USD"),
        usd_per_mtok_total=exact(usd / 150e3, "USD/Mtok"),
        load_share=0.8,
        ranked=True,
    )


def fleet() -> Fleet:
    ratio = value(3.0, "ratio", "estimated")
    return Fleet(
        demand=demand(),
        rows=[fleet_row("vllm", 71, 18_659.0), fleet_row("transformers", 89, 1_234_000.0)],
        architectures=[
            ArchitectureCost(
                hour=RENTED,
                region="eu-north",
                stack="vllm",
                dense=MODELS["dense"],
                moe=MODELS["moe"],
                usd_per_month_ratio=ratio,
                energy_ratio=ratio,
                match="the same function, by sparse upcycling",
            )
        ],
        site_mw=1.0,
        sites=[
            SiteRow(
                hour=RENTED,
                stack="vllm",
                model=MODELS["dense"],
                cell="vllm-dense",
                power_kw_per_replica=exact(1.0, "kW"),
                output_tok_s_per_mw=exact(200_000, "tok/s/MW"),
                replicas=exact(1000, "replicas"),
                output_tok_s=exact(200_000, "tok/s"),
            )
        ],
        margins=[
            Margin(
                hour=RENTED,
                region="eu-north",
                stack="vllm",
                model=MODELS["dense"],
                parts=[
                    Part(name="revenue", usd=30_000, formula="30,000,000 responses x 0.001 USD"),
                    Part(name="partner", usd=-6_000, formula="20 % of the revenue"),
                    Part(name="cost", usd=-18_659, formula="71 replicas"),
                    Part(name="credits", usd=1_000, formula="12,000 USD / 12 months"),
                ],
                before_credits_usd=5_341,
                before_credits_share=5_341 / 30_000,
                after_credits_usd=6_341,
            )
        ],
        tornados=[monthly()],
        notes=["A replica serves one model."],
    )


def costs() -> Costs:
    return Costs(
        as_of="2026-11-21",
        scenario="scenario.toml",
        hours=hours(),
        cells=[
            priced(hour, architecture, stack)
            for hour in PRICES
            for architecture in MODELS
            for stack in ("vllm", "transformers")
        ],
        flips=[flip(hour, architecture) for hour in PRICES for architecture in MODELS],
        tornados=tornados(),
        apis=[api()],
        own_or_rent=[
            OwnOrRent(
                owned=OWNED,
                rented=RENTED,
                owned_usd_per_hour=0.72,
                rented_usd_per_hour=0.36,
                flip_utilisation=1.6,
                flip_rent_usd_per_hour=0.72,
                sentence="Renting is cheaper however much the machine is used.",
            )
        ],
        responses=[response()],
        fleet=fleet(),
        warnings=["the results are a quick look"],
        notes=["Prices are without tax."],
    )
