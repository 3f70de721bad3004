"""Where the order turns: between two stacks, against a public API, own against rent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords.look import absent, distinct, mark, tidy
from inferometer.costwords.shape import Section, Table
from inferometer.language import later, tr
from inferometer.numbers import number, point, with_interval

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from inferometer.comparison.costs import ApiEven, Flip
    from inferometer.costwords.look import Look

PLACE = ("model", "workload", "load")
EVEN = later(
    "The ratio of hourly prices at which both cost the same is the ratio of their throughputs, "
    "paired by round: it needs no price. The follower becomes the cheaper one where its hour "
    "costs less than that times the leader's."
)
BEYOND = later(
    "A utilisation over 1: the API is cheaper even at full load. A discount below 0: own is "
    "dearer than the API's list."
)


def flips(look: Look, told: Collection[str]) -> list[Section]:
    """Return the flip prices of every pair; without a price, the ratios that need none.

    Sentences in ``told`` stand elsewhere already.
    """
    found = look.costs.flips
    if not found:
        return []
    hours = distinct(flip.hour for flip in found) if look.priced else [found[0].hour]
    return [
        Section(
            id="flips",
            title=tr("When the order flips"),
            question=tr("At which price do two stacks cost the same per output token?"),
            lead=(EVEN,),
            tables=tuple(
                _flips(look, hour, [flip for flip in found if flip.hour == hour]) for hour in hours
            ),
            notes=tuple(distinct(text for flip in found if (text := flip_words(flip)) not in told)),
        )
    ]


def flip_words(flip: Flip) -> str:
    """Return a flip's sentence, and where it holds."""
    return f"{flip.model}, {flip.workload}, {flip.load}: {flip.sentence}"


def _flips(look: Look, hour: str, found: Sequence[Flip]) -> Table:
    header: tuple[str, ...] = (*PLACE, "leader", "follower", tr("even at a price ratio of"))
    rows: list[tuple[str, ...]] = [
        (
            *(flip.model, flip.workload, flip.load),
            *(look.label(flip.leader), look.label(flip.follower)),
            with_interval(flip.price_ratio),
        )
        for flip in found
    ]
    if look.priced:
        header = (*header, tr("USD/h of both"), tr("follower flips at USD/h"))
        rows = [(*row, *_prices(flip)) for row, flip in zip(rows, found, strict=True)]
    for name, values in (
        (tr("or leader at utilisation"), [flip.flip_utilisation for flip in found]),
        (tr("or at USD/kWh"), [flip.electricity_usd_per_kwh for flip in found]),
    ):
        if any(values):
            header = (*header, name)
            said = [point(value or absent("not_known")) for value in values]
            rows = [(*row, text) for row, text in zip(rows, said, strict=True)]
    place = look.paid(hour) if look.priced else ""
    return tidy(place, tr("break-even of hourly prices"), header, rows, PLACE)


def _prices(flip: Flip) -> tuple[str, ...]:
    return (
        f"{point(flip.leader_usd_per_hour)}, {point(flip.follower_usd_per_hour)}",
        with_interval(flip.flip_usd_per_hour),
    )


def apis(look: Look) -> list[Section]:
    """Return each cell against each public API, hour by hour."""
    found = look.costs.apis
    tables: list[Table] = []
    for api, hour in dict.fromkeys((one.api, one.hour) for one in found):
        rows = [one for one in found if (one.api, one.hour) == (api, hour)]
        tables += _api(
            look,
            tr(
                "{api}{mark} against {paid}",
                api=api,
                mark=mark(rows[0].origin),
                paid=look.paid(hour),
            ),
            rows,
        )
    if not found:
        return []
    sources = (
        f"{one.api}: {one.origin.source}, {one.origin.date}{mark(one.origin)}"
        + (f"; {one.origin.detail}" if one.origin.detail else "")
        for one in found
    )
    return [
        Section(
            id="apis",
            title=tr("Own against a public API"),
            question=tr("When is it cheaper to buy the same tokens from an API?"),
            lead=tuple(
                tr(
                    "{at}, at {paid}: {sentence}",
                    at=look.at(one.cell),
                    paid=look.paid(one.hour),
                    sentence=one.sentence,
                )
                for one in found
            ),
            tables=tuple(tables),
            notes=tuple(distinct(sources)),
        )
    ]


def _api(look: Look, title: str, found: Sequence[ApiEven]) -> list[Table]:
    where = [look.at(one.cell) for one in found]
    costs = [
        (
            (
                f"{number(one.input_tokens)} ({number(one.cached_tokens)}) + "
                f"{number(one.output_tokens)}"
            ),
            number(one.api_usd_per_request, grouped=True),
            with_interval(one.own_usd_per_request),
            with_interval(one.ratio),
        )
        for one in found
    ]
    turns = [
        (
            point(one.flip_usd_per_hour),
            point(one.flip_utilisation),
            point(one.flip_requests_per_day),
            point(one.flip_discount),
        )
        for one in found
    ]
    tokens = tr("tokens: input (cached) + output")
    money = ("cell", tokens, tr("API USD/request"), tr("own USD/request"), tr("own / API"))
    even = (
        "cell",
        tr("USD per hour"),
        "utilisation",
        tr("requests a day"),
        tr("discount off the API"),
    )
    return [
        Table(
            title=title,
            header=money,
            rows=tuple((name, *row) for name, row in zip(where, costs, strict=True)),
        ),
        Table(
            title=tr("{title}: both cost the same at", title=title),
            header=even,
            rows=tuple((name, *row) for name, row in zip(where, turns, strict=True)),
            notes=(BEYOND,),
        ),
    ]


def own_or_rent(look: Look) -> list[Section]:
    """Return every owned hour against every rented one."""
    found = look.costs.own_or_rent
    if not found:
        return []
    header = (
        tr("owned"),
        tr("rented"),
        tr("own USD/h"),
        tr("rent USD/h"),
        tr("even at utilisation"),
        tr("or a rent of"),
    )
    rows = tuple(
        (
            look.paid(one.owned),
            look.paid(one.rented),
            *(number(one.owned_usd_per_hour), number(one.rented_usd_per_hour)),
            tr("never") if one.flip_utilisation is None else number(one.flip_utilisation),
            number(one.flip_rent_usd_per_hour),
        )
        for one in found
    )
    note = tr(
        "A utilisation over 1, or never: renting is cheaper however much the machine is used. "
        "The rent is a list price: its discount, lost work and unused hours stay what they are."
    )
    table = Table(
        title=tr("One machine, per delivered hour"), header=header, rows=rows, notes=(note,)
    )
    return [
        Section(
            id="own-or-rent",
            title=tr("Own or rent"),
            question=tr("From which use on is it cheaper to own the machine?"),
            lead=tuple(distinct(one.sentence for one in found)),
            tables=(table,),
        )
    ]
