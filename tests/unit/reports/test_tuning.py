"""The section about searches: every trial, what won, what it cost."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports import factory, figures
from tests.unit.reports.test_hostile import NAME

from inferometer.comparison import Comparison, Tuning, TuningTrial, Value
from inferometer_reports.markdown import render


def trial(number: int, value: Value, **settings: object) -> TuningTrial:
    return TuningTrial(
        number=number,
        settings=settings,
        value=value,
        noise_percent=1.25 if value.value else None,
        took_s=75.0,
        launch=f"t{number}",
    )


def speed(value: float) -> Value:
    return Value(value=value, unit="tok/s", kind="measured", n=1)


FAILED = Value(
    value=None, unit="tok/s", kind="measured", reason="bad_flag", detail="unrecognized arguments"
)
TUNING = Tuning(
    stack="vllm",
    model="smol-135m",
    workload="chat",
    load="8 streams",
    objective="throughput",
    metric=figures.TOKENS,
    meter=None,
    window_s=30.0,
    trials_allowed=3,
    minutes_allowed=None,
    spent_s=225.0,
    stopped="trials",
    left=2,
    rule="A trial wins by more than noise.",
    knobs={"max_num_seqs": "batches share the weights"},
    chosen=2,
    trials=[
        trial(1, speed(200)),
        trial(2, speed(213), max_num_seqs=4, graphs=False),
        trial(3, FAILED, mode="fast"),
    ],
)


def section(comparison: Comparison) -> str:
    text = render(comparison)["report.md"].decode()
    return text.partition("\n## Tuning: what was tried\n")[2].partition("\n## ")[0]


def test_every_trial_is_shown_with_what_it_cost_and_what_won() -> None:
    text = section(replace(factory.comparison(), tuning=[TUNING]))
    assert "A trial wins by more than noise." in text
    assert (
        "Budget 3 trials, used 3 trials, 3.75 min: the trials were spent, 2 values untried. "
        "Windows of 30.0 s."
    ) in text
    assert "| 1 | the engine's defaults | 200 | 1.2 % | measured | 75.0 | not chosen |" in text
    assert (
        "| 2 | max_num_seqs = 4, graphs = false | 213 | 1.2 % | measured | 75.0 | **chosen** |"
    ) in text
    assert "| failed: unrecognized arguments |" in text
    assert "- max_num_seqs: batches share the weights" in text


def test_a_study_without_a_search_has_no_such_section() -> None:
    assert section(factory.comparison()) == ""


def test_what_an_adapter_says_stays_text() -> None:
    bad = Value(value=None, unit=NAME, kind="measured", reason=NAME, detail=NAME)
    hostile = replace(
        TUNING,
        model=NAME,
        rule=NAME,
        knobs={NAME: NAME},
        metric=NAME,
        trials=[trial(1, bad, **{NAME: NAME})],
    )
    text = section(replace(factory.comparison(), tuning=[hostile]))
    assert "<script>" not in text
    assert "\x1b" not in text
    assert len({line.count(" | ") for line in text.splitlines() if line.startswith("| ")}) == 1
