"""Where a scenario does not fit the results: refused by line and key, or warned of."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from inferometer.analyze import analyze
from inferometer.cost.misfits import same_gpu
from inferometer.errors import StudyError
from inferometer.records import Device, MeterInfo
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.comparison import Costs

DAY = date(2026, 11, 22)
PRICE = """[[hours]]
name = "list"
price = 2.0
contract = "on-demand"
source = "made up"
date = "2026-11-01"
"""
OWNED = """[[hours]]
name = "own"
utilisation = 0.5
[hours.owned]
server_usd = 1000
life_years = 4
meter = "fixture"
pue = 1.2
usd_per_kwh = 0.1
source = "made up"
date = "2026-11-01"
"""
SURCHARGE = """[[surcharges]]
engine = "a"
what = "support"
usd_per_gpu_hour = 0.5
source = "made up"
date = "2026-11-01"
"""
MACHINE = "[machine]\ngpus = 1\n"


def priced(tmp_path: Path, text: str, **options: Any) -> Costs:
    tmp_path.mkdir(exist_ok=True)
    root = write_results(tmp_path / "r", Fixture(**{"rates": {"a": 40.0, "b": 50.0}, **options}))
    file = tmp_path / "cost.toml"
    file.write_text(text)
    costs = analyze(root.root, file, as_of=DAY).costs
    assert costs is not None
    return costs


def meter(model: str) -> MeterInfo:
    device = Device(name="GPU-0", model=model)
    return MeterInfo(
        name="fixture", scope="L0", kind="simulated", method="made up", devices=[device]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PRICE, "line 3, hours[0].price: it is per GPU, and these results say of no GPU"),
        (
            PRICE.replace("price = 2.0", 'price = 2.0\nper = "machine"') + SURCHARGE,
            "line 11, surcharges[0].usd_per_gpu_hour: it is per GPU",
        ),
        (
            OWNED.replace("fixture", "fixtrue"),
            (
                "line 7, hours[0].owned.meter: no meter 'fixtrue' in these results, which have: "
                "fixture; or power_kw"
            ),
        ),
        (
            PRICE.replace("price = 2.0", 'price = 2.0\ngpu = "H100"') + MACHINE + 'gpu = "B200"\n',
            "line 4, hours[0].gpu: a price of H100, but B200 served",
        ),
    ],
)
def test_what_does_not_fit_is_told_by_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        priced(tmp_path, text)
    assert said in caught.value.message


def test_a_price_is_of_the_accelerator_that_the_driver_names(tmp_path: Path) -> None:
    text = PRICE.replace("price = 2.0", 'price = 2.0\ngpu = "B200"')
    (hour,) = priced(tmp_path / "same", text, meter=meter("NVIDIA B200")).hours
    assert hour.gpus == 1
    with pytest.raises(StudyError, match="a price of B200, but NVIDIA GB200 served"):
        priced(tmp_path / "other", text, meter=meter("NVIDIA GB200"))


@pytest.mark.parametrize(
    ("quoted", "driver", "same"),
    [
        ("H100", "NVIDIA H100 80GB HBM3", True),
        ("GB200 NVL72", "NVIDIA GB200", True),
        ("MI300X", "AMD Instinct MI300X OAM", True),
        ("A100", "NVIDIA A100-SXM4-80GB", True),
        ("RTX 4090", "NVIDIA GeForce RTX 4090", True),
        ("RTX 4090", "NVIDIA GeForce RTX 3090", False),
        ("H200", "NVIDIA GH200 480GB", False),
        ("B200", "NVIDIA GB200", False),
        ("A10", "NVIDIA A100-SXM4-80GB", False),
        ("L4", "NVIDIA L40S", False),
    ],
)
def test_an_accelerator_is_told_by_whole_words(quoted: str, driver: str, same: bool) -> None:
    assert same_gpu(quoted, driver) is same


def test_a_surcharge_of_an_engine_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    text = PRICE + MACHINE + SURCHARGE.replace('"a"', '"vlm"')
    costs = priced(tmp_path, text)
    assert costs.warnings == [
        "surcharge 'support' is in no bill: these results have no engine 'vlm', only a, b"
    ]


def test_an_accelerator_of_the_market_is_known_without_a_quote(tmp_path: Path) -> None:
    text = PRICE.replace("price = 2.0", 'price = 2.0\ngpu = "GB200 NVL72"') + MACHINE
    assert priced(tmp_path, text).hours[0].gpus == 1
    with pytest.raises(StudyError, match="did you mean 'H100'"):
        priced(tmp_path / "other", text.replace("GB200 NVL72", "H101"))
