"""What is said of cost: whole numbers in, words and tables out."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.reports import factory, figures
from tests.unit.reports.factory_costs import RENTED

from inferometer.comparison import Comparison, Costs, Ranking, Value
from inferometer.comparison.costs import Part
from inferometer.costwords import Section, Table, sections

IDS = [
    *("answer", "hours", "points", "flips", "tornado", "apis", "own-or-rent", "response"),
    *("fleet", "formulas", "remarks"),
]


def costs() -> Costs:
    found = factory.comparison().costs
    assert found is not None
    return found


def said(comparison: Comparison | None = None) -> dict[str, Section]:
    return {one.id: one for one in sections(comparison or factory.comparison())}


def with_costs(**changes: object) -> Comparison:
    return replace(factory.comparison(), costs=replace(costs(), **changes))


def table(section: Section, title: str) -> Table:
    (found,) = (one for one in section.tables if title in one.title)
    return found


def test_the_sections_stand_in_order() -> None:
    assert [one.id for one in sections(factory.comparison())] == IDS
    assert sections(replace(factory.comparison(), costs=None)) == []


def test_every_row_is_as_long_as_its_header_and_no_cell_is_blank() -> None:
    for section in sections(factory.comparison()):
        for one in section.tables:
            assert one.rows, one.title
            assert {len(row) for row in one.rows} == {len(one.header)}, one.title
            assert all(cell for row in one.rows for cell in row), one.title


# -- the answer --------------------------------------------------------------------------------


def test_the_answer_is_that_of_the_rankings() -> None:
    lead = said()["answer"].lead
    assert lead[0].startswith("Ranked at rented: 0.360 USD est. per hour, of 2026-11-01 (example")
    assert lead[1] == (
        "smol-135m, chat, 8 streams: vllm 0.32.0 is the cheapest: transformers 5.19.0 costs "
        "1.25x (95 % 1.19 to 1.31, n = 3) as much."
    )
    assert lead[2] == (
        "smol-135m-moe, chat, 8 streams: no clear winner among vllm 0.32.0 and transformers "
        "5.19.0: transformers 5.19.0 costs 1.02x (95 % 0.97 to 1.07, n = 3) as much as vllm 0.32.0."
    )
    assert lead[3].startswith("Cost follows throughput here by construction")
    assert lead[4] == (
        "smol-135m, chat, 8 streams: transformers costs the same at rented when its hour costs "
        "0.288 USD."
    )


def by_cost(comparison: Comparison) -> Ranking:
    (found,) = (
        one
        for one in comparison.rankings
        if (one.objective, one.model) == ("cost", figures.MODELS["dense"])
    )
    return found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_rounds": 1}, "one launch each of vllm 0.32.0 and transformers 5.19.0: no interval"),
        ({"kind": "simulated"}, "simulated: vllm 0.32.0 is the cheapest"),
        ({"entries": []}, "not ranked: no result"),
        ({"unranked": [factory.unranked("vllm")]}, "; not ranked: no power sensor (vllm 0.32.0)"),
    ],
)
def test_no_order_without_its_evidence(changes: dict[str, object], words: str) -> None:
    base = factory.comparison()
    one = replace(base, rankings=[replace(by_cost(base), **changes)])
    assert words in said(one)["answer"].lead[1]


def test_a_tie_is_a_tie_and_one_stack_alone_leads_nobody() -> None:
    base = factory.comparison()
    ranking = by_cost(base)
    first, second = ranking.entries
    even = replace(second, place=1, verdict="tie")
    tie = replace(ranking, separated=False, entries=[first, even])
    lead = said(replace(base, rankings=[tie]))["answer"].lead
    assert "a tie of vllm 0.32.0 and transformers 5.19.0, equal within the margin" in lead[1]
    alone = replace(ranking, separated=False, entries=[first])
    lead = said(replace(base, rankings=[alone]))["answer"].lead
    assert "only vllm 0.32.0 could be ranked: 0.500 (0.480 to 0.520) USD/Mtok, n = 3" in lead[1]


def test_only_load_points_are_told() -> None:
    base = factory.comparison()
    more = [replace(one, at=at) for one in base.rankings for at in ("interactivity", "slo")]
    assert said(replace(base, rankings=[*base.rankings, *more])) == said()


def test_many_load_points_are_counted() -> None:
    base = factory.comparison()
    one = by_cost(base)
    rankings = [replace(one, load=f"{n} streams") for n in (1, 2, 4)]
    rankings.append(replace(one, load="8 streams", separated=False))
    assert said(replace(base, rankings=rankings))["answer"].lead[1] == (
        "smol-135m: vllm 0.32.0 is the cheapest at 3 of 4 load points (the next costs 1.25x to "
        "1.25x as much); no clear winner at 1 of 4 load points."
    )


# -- prices ------------------------------------------------------------------------------------


def test_a_stale_price_is_marked_in_every_table_that_it_goes_into() -> None:
    mark = "owned (STALE: 143 days old)"
    found = said()
    assert mark in found["flips"].tables[1].title
    assert mark in found["tornado"].tables[0].title
    points = found["points"]
    assert sum(mark in one.title for one in points.tables) == len(points.tables) // 2
    assert [row[0] for row in said()["hours"].tables[0].rows] == [RENTED, mark]
    assert said()["hours"].tables[0].rows[1][5] == "2026-07-01, STALE, 143 days"
    assert said()["own-or-rent"].tables[0].rows[0][:2] == (mark, RENTED)


def test_a_stale_api_is_marked_too() -> None:
    api = costs().apis[0]
    old = replace(api, origin=replace(api.origin, stale=True, age_days=91))
    found = said(with_costs(apis=[old]))
    assert all("public-api (STALE: 91 days old)" in one.title for one in found["apis"].tables)
    assert "public-api (STALE: 91 days old)" in found["tornado"].tables[1].title


def test_parts_stand_with_their_sum() -> None:
    assert table(said()["hours"], "rented: 0.360").rows == (
        ("list price", "0.400", "0.20 USD per GPU-hour x 2 GPUs"),
        ("discount", "-0.0400", "10 % of 0.40"),
        ("sum", "0.360", "of the lines above"),
    )


def test_without_a_price_there_are_ratios_alone() -> None:
    none = Value(value=None, unit="USD/h", kind="declared", reason="no_price")
    bare = [
        replace(
            flip,
            hour="",
            leader_usd_per_hour=none,
            follower_usd_per_hour=none,
            flip_usd_per_hour=none,
            electricity_usd_per_kwh=None,
            sentence="equal at 0.800 of it",
        )
        for flip in costs().flips[:1]
    ]
    found = said(with_costs(hours=[], cells=[], flips=bare, tornados=[], apis=[], own_or_rent=[],
                            responses=[], fleet=None, warnings=[], notes=[]))  # fmt: skip
    assert list(found) == ["answer", "flips"]
    assert found["answer"].lead[0].startswith("No price given: ")
    assert found["answer"].lead[1] == "smol-135m, chat, 8 streams: equal at 0.800 of it"
    (only,) = found["flips"].tables
    assert only.title == "smol-135m, chat, 8 streams: break-even of hourly prices"
    assert only.header == ("leader", "follower", "even at a price ratio of")
    assert only.rows == (("vllm 0.32.0", "transformers 5.19.0", "0.800 (0.768 to 0.832)"),)


def test_an_hour_without_a_price_says_why_though_one_was_given() -> None:
    nothing = Value(
        value=None, unit="USD/h", kind="estimated", reason="not_run", detail="no whole launch"
    )
    hour = replace(costs().hours[0], usd_per_hour=nothing, parts=[])
    found = said(with_costs(hours=[hour], cells=[], flips=[]))
    assert found["answer"].lead == (
        "No sum of money can be said at rented: not run (no whole launch).",
    )


def test_open_loops_have_no_order_and_it_is_said() -> None:
    base = factory.comparison()
    cells = [replace(cell, loop="open") for cell in base.cells]
    lead = said(replace(base, rankings=[], cells=cells))["answer"].lead
    assert lead[1].startswith("No stack was ranked by cost: open loops show no capacity")


# -- load points -------------------------------------------------------------------------------


def test_one_bill_is_divided_once() -> None:
    divided = table(said()["points"], "rented: smol-135m, chat, 8 streams: how the bill is divided")
    assert [row[-1] for row in divided.rows] == ["40.0 % + 60.0 % = 100 %"] * 2
    assert divided.rows[0][1:6] == ("time to the first token", "40 %", "60 %", "0 %", "25 %")
    assert divided.notes == ("Divided by time, queueing included.",)


def test_a_bill_that_is_counted_twice_shows() -> None:
    cell = costs().cells[0]
    whole = cell.values["bill_usd_per_mtok_output"]
    twice = replace(cell, values={**cell.values, "usd_per_mtok_output": whole})
    divided = table(said(with_costs(cells=[twice]))["points"], "divided")
    assert divided.rows[0][-1] == "40.0 % + 100 % = 140 %"


def test_an_undivided_bill_says_why() -> None:
    cell = costs().cells[0]
    gone = figures.absent("USD/Mtok", "too_few_samples")
    split = replace(
        cell.division,
        method=None,
        input_share=None,
        output_share=None,
        idle_share=None,
        reason="too_few_samples",
    )
    values = {**cell.values, "usd_per_mtok_input": gone, "usd_per_mtok_output": gone}
    one = replace(cell, division=split, values=values)
    divided = table(said(with_costs(cells=[one]))["points"], "divided")
    assert divided.rows[0][1:3] == ("n/a (too few samples)", "not known")
    assert divided.rows[0][-1] == "n/a (too few samples)"


def test_figures_of_a_load_point() -> None:
    place = "rented: smol-135m, chat, 8 streams: "
    points = said()["points"]
    assert table(points, place + "one bill").rows[0] == (
        *("vllm 0.32.0", "0.300 est. (0.288 to 0.312)"),
        *("0.0500 est. (0.0480 to 0.0520)", "0.100 est. (0.096 to 0.104)"),
    )
    assert table(points, place + "tokens for").rows[0][1].startswith("3,330,000 est. (3,200,000 to")
    users = table(points, place + "requests and users")
    assert users.rows[0][2:] == ("n/a (SLO never met)", "0.0450 est. (0.0432 to 0.0468)", "25.0")
    assert "USD / M output (ranks)" in table(points, place + "the whole bill").header
    second = table(points, "old): smol-135m, chat, 8 streams: the whole bill")
    assert second.header[-1] == "USD / M output"


def test_loads_have_a_column_where_they_vary_and_what_is_not_ranked_says_so() -> None:
    cell = costs().cells[0]
    other = replace(cell, load="1 stream", ranked=False)
    whole = table(said(with_costs(cells=[cell, other]))["points"], "the whole bill")
    assert whole.title.startswith("rented: smol-135m, chat: ")
    assert [row[:2] for row in whole.rows] == [
        ("vllm 0.32.0", "8 streams"),
        ("vllm 0.32.0 (not ranked)", "1 stream"),
    ]


def test_a_surcharge_is_told_beside_the_hour() -> None:
    cell = costs().cells[0]
    extra = Part(name="licence", usd=0.5, formula="0.5 USD")
    own = table(
        said(with_costs(cells=[replace(cell, parts=[*cell.parts, extra])]))["points"],
        "lines of their own",
    )
    assert own.rows == (("vllm 0.32.0", "licence", "0.500", "0.5 USD"),)


def test_a_last_digit_of_floating_point_makes_no_line_of_its_own() -> None:
    cell = costs().cells[0]
    close = [replace(part, usd=part.usd * (1 + 1e-15)) for part in cell.parts]
    assert close != cell.parts
    points = said(with_costs(cells=[replace(cell, parts=close)]))["points"]
    assert not [one for one in points.tables if "lines of their own" in one.title]


# -- the rest ----------------------------------------------------------------------------------


def test_the_widest_swing_has_the_longest_bar() -> None:
    one = said()["tornado"].tables[0]
    assert [(row[0], row[-1]) for row in one.rows] == [
        ("server_usd (+-20 %)", "=" * 20),
        ("pue", "=" * 5),
        ("staff", "none"),
    ]


def test_each_figure_that_is_varied_says_what_it_is() -> None:
    found = said()
    _, api, answer = found["tornado"].tables
    where = "vllm 0.32.0, smol-135m, chat, 8 streams"
    assert api.title == f"{RENTED}: {where}: own cost of a request over that at public-api 0.250"
    assert api.header[3:5] == ("ratio from", "ratio to")
    assert answer.title == "declared prices: an accepted response 0.0273 USD"
    month = found["fleet"].tables[-1]
    assert month.title == f"{RENTED}: {where}: a month of the fleet, eu-north 18,700 USD"
    assert month.rows == (
        ("spare (+-1)", "0 replicas", "2 replicas", "18,400", "18,900", "=" * 20),
    )
    assert sum("(+-1) of what is counted" in text for text in found["fleet"].notes) == 1


def test_flips_tell_each_sentence_once() -> None:
    found = said()
    told = [*found["answer"].lead, *found["flips"].notes]
    for flip in costs().flips:
        assert sum(text.endswith(flip.sentence) for text in told) == 1


def test_renting_that_is_always_cheaper_is_said() -> None:
    one = replace(costs().own_or_rent[0], flip_utilisation=None)
    assert said(with_costs(own_or_rent=[one]))["own-or-rent"].tables[0].rows[0][4] == "never"


def test_parts_of_a_response() -> None:
    summary, parts = said()["response"].tables
    assert summary.rows[0][2:] == ("1.20", "0.0273 est. (no interval)", "n/a (no power sensor)")
    assert parts.rows[0] == ("output", "0.0270", "n/a (not known)", "150 tokens x 1.2 x 150 USD/M")
    assert parts.rows[-1][1] == "0.0273 est."


def test_the_fleet() -> None:
    fleet = said()["fleet"]
    assert fleet.lead[0].startswith(
        "1,000,000 requests a day of support-bot in month 12 (500,000 now, growing by 6 % a month)"
    )
    assert "headroom 20 %, 1 spare replica." in fleet.lead[0]
    assert not any("Share of the day" in text for text in fleet.lead)
    size = table(fleet, "rented, eu-north: replicas")
    assert size.rows[0][-3:] == ("71 (68 to 74)", "142", "80 %")
    bill = table(fleet, "rented, eu-north: the bill")
    assert bill.rows[1][2].startswith("1,230,000 est. (1,180,000 to")
    assert table(fleet, "1.00 MW").rows[0][-3:] == ("200000 est.", "1,000 est.", "200000 est.")


def test_a_fleet_shows_its_formulas() -> None:
    formulas = table(said()["fleet"], "rented, eu-north: formulas")
    assert formulas.rows[0] == ("kW at the peak", "all", "metered package-0 x PUE 1.2")
    assert formulas.rows[1:] == (
        ("USD a month", "vllm 0.32.0, smol-135m", "71 replicas x 730 h x 0.36 USD/h"),
        ("USD a month", "transformers 5.19.0, smol-135m", "89 replicas x 730 h x 0.36 USD/h"),
    )


def test_credits_stand_apart_from_the_margin() -> None:
    margin = table(said()["fleet"], "Margin")
    assert dict(zip(margin.header[2:], margin.rows[0][2:], strict=True)) == {
        "revenue": "30,000",
        "partner": "-6000",
        "cost": "-18,700",
        "margin": "5340",
        "of the revenue": "18 %",
        "credits, in no price": "1000",
        "margin with them": "6340",
    }
    assert margin.notes[0] == "revenue: 30,000,000 responses x 0.001 USD"


def test_a_margin_without_credits_has_no_column_for_them() -> None:
    fleet = costs().fleet
    assert fleet is not None
    (one,) = fleet.margins
    bare = replace(fleet, margins=[replace(one, parts=one.parts[:-1], ranked=False)])
    margin = table(said(with_costs(fleet=bare))["fleet"], "Margin")
    assert margin.header[-1] == "of the revenue"
    assert margin.rows[0][0] == "vllm 0.32.0 (not ranked)"


def test_a_day_with_a_shape_is_told_hour_by_hour() -> None:
    fleet = costs().fleet
    assert fleet is not None
    hourly = [0.08] + [0.04] * 23
    one = replace(fleet, demand=replace(fleet.demand, hourly=hourly, shape="own weights"))
    lead = said(with_costs(fleet=one))["fleet"].lead
    assert lead[-1].startswith("Share of the day in each hour, from 0: 8 %, 4 %, 4 %")


def test_formulas_are_those_of_the_metrics() -> None:
    (one,) = said()["formulas"].tables
    assert ("Output's part", "USD/Mtok", "output's share x bill / tokens") in one.rows


def test_warnings_come_before_notes() -> None:
    assert said()["remarks"].lead == ("Warning: the results are a quick look",)
    assert said()["remarks"].notes == ("Prices are without tax.",)
