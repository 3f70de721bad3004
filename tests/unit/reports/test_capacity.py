"""What a buyer reads of capacity at the SLO."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports import factory

from inferometer.comparison import Capacity, Comparison, LaunchCapacity, Value
from inferometer.comparison.capacities import Flag, OfferedRate
from inferometer_reports import capacity, console, markdown
from inferometer_reports.view import View


def rate(value: float | None, reason: str | None = None) -> Value:
    n = 0 if value is None else 1
    return Value(value=value, unit="req/s", kind="measured", n=n, reason=reason)


def one(stack: str, passes: float | None, fails: float | None, flag: Flag | None) -> Capacity:
    offered = [OfferedRate(rate=8, outcome="pass", good=160, bad=0, missed={}, seconds=20)]
    if fails:
        missed = {"tpot_ms": 150, "failed": 2}
        offered += [
            OfferedRate(rate=fails, outcome="fail", good=8, bad=152, missed=missed, seconds=20)
        ]
    launch = LaunchCapacity(
        launch="l",
        round=0,
        passes=passes,
        fails=fails,
        flag=flag,
        minutes=12.5,
        design_effect=4,
        rates=offered,
    )
    return Capacity(
        stack=stack,
        model="smol-135m",
        architecture="dense",
        workload="chat",
        slo="TTFT <= 500 ms and TPOT <= 50 ms",
        share=0.9,
        confidence=0.95,
        low=1,
        high=64,
        passes=rate(passes, flag),
        fails=rate(fails, None if fails else flag),
        rate=rate(passes, flag),
        flag=flag,
        launches=[launch],
    )


def made(*capacities: Capacity) -> Comparison:
    return replace(factory.comparison(), capacities=list(capacities))


def test_a_bracket_is_said_in_words() -> None:
    view = View(made(one("vllm", 8, 9, None), one("transformers", None, 1, "below_range")))
    ((subject, sentence),) = capacity.answers(view)
    assert subject == "Capacity at the SLO, smol-135m, chat:"
    assert sentence == (
        "vllm 0.32.0 meets it at 8.00 requests/s and misses it at 9.00; transformers 5.19.0: no "
        "capacity, missed the SLO at the lowest rate that was tried (1 requests/s). SLO: 90 % of "
        "the requests within TTFT <= 500 ms and TPOT <= 50 ms."
    )


def test_the_sentence_stands_in_every_text() -> None:
    seen = made(one("vllm", 8, 9, None))
    for rendered in (markdown.render(seen), console.render(seen)):
        (text,) = (" ".join(content.decode().split()) for content in rendered.values())
        assert "Capacity at the SLO, smol-135m, chat:" in text.replace("\\", "")
        assert "meets it at 8.00 requests/s" in text


def test_the_section_has_every_rate_and_what_was_missed_first() -> None:
    lines = list(markdown.lines(capacity.section(View(made(one("vllm", 8, 9, None))))))
    assert lines[0] == "## Capacity at the SLO"
    (row,) = (line for line in lines if line.startswith("| vllm 0.32.0 | 8.00 "))
    assert [cell.strip() for cell in row.strip("|").split("|")][-3:] == ["TPOT", "12.5", "none"]
    rates = [line for line in lines if "misses the SLO |" in line]
    assert len(rates) == 1
    assert "| 8 | 160 | failed 2, TPOT 150 | 20" in rates[0]


def test_a_study_that_searched_nothing_says_nothing() -> None:
    view = View(factory.comparison())
    assert (capacity.section(view), capacity.answers(view)) == ([], [])


def test_many_workloads_are_counted() -> None:
    works = [replace(one("vllm", 8, 9, None), workload=f"w{n}") for n in range(5)]
    told = capacity.answers(View(made(*works)))
    assert told[-1] == ("Capacity at the SLO:", "2 more in the tables.")


def test_hostile_names_are_escaped() -> None:
    hostile = replace(one("vllm", 8, 9, None), workload="<b>|x|</b>")
    text = markdown.render(made(hostile))["report.md"].decode()
    assert "<b>" not in text
