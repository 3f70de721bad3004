"""Checks of the options that a study may set."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inferometer.errors import UsageError
from inferometer.metering import chosen_meters
from inferometer.redact import looks_secret
from inferometer.study import MeterEntry
from inferometer.testing.check import Failed, applies, check, checks_of, need
from inferometer.testing.meters.kit import Kit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inferometer.testing.check import Check

WRONG: Mapping[type, tuple[object, ...]] = {
    float: ("sixty-five", None, float("nan"), float("inf")),
    int: ("one", None, 0.5),
    bool: ("yes", None),
    str: (7, None),
    list: (7, None),
    dict: (7, None),
}
"""Values that no option of a type may have; TOML can write ``nan`` and ``inf``."""


class Noting(dict[str, Any]):
    """Options that note which of them were looked at."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.seen: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Note ``key``."""
        self.seen.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.seen.add(str(key))
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self.seen.update(self)
        return super().__iter__()

    def keys(self) -> Any:
        """Note all of them: they are taken as a whole."""
        self.seen.update(super().keys())
        return super().keys()

    def items(self) -> Any:
        """Note all of them."""
        self.seen.update(super().keys())
        return super().items()


@check
def options_are_declared(kit: Kit) -> None:
    """Each option has a plain name and one of the types that TOML knows."""
    for key, of in kit.meter.options.items():
        need(re.fullmatch(r"[a-z][a-z0-9_]*", key), f"{key!r} is no name of an option")
        need(of in WRONG, f"{key}: {of!r} is none of {', '.join(t.__name__ for t in WRONG)}")


@check
def options_hold_no_secret(kit: Kit) -> None:
    """No option is a password or a key: a study is stored and shown. Variables are for that."""
    secret = [key for key in kit.meter.options if looks_secret(key, "")]
    need(not secret, f"{', '.join(secret)}: take it from the environment")


@check
def options_are_used(kit: Kit) -> None:
    """Every option it declares is looked at."""
    applies(kit.meter.options, "it has no options")
    with kit.readable() as (context, info):
        noting = Noting(context.options)
        with kit.session(replace(context, options=noting), info):
            kit.meter.info(replace(context, options=noting))
        unused = set(kit.meter.options) - noting.seen
        need(not unused, f"never looked at: {', '.join(sorted(unused))}")


@check
def unknown_options_are_refused(kit: Kit) -> None:
    """An option that it does not declare is refused by name."""
    with kit.there() as context:
        given = {**context.options, "made_up_option": 1}
        try:
            chosen_meters([MeterEntry(name=kit.meter.name, options=given)], _only(kit))
        except UsageError as refusal:
            need("made_up_option" in refusal.message, f"told as {refusal.message!r}")
            return
    raise Failed("made_up_option = 1 is taken")


@check
def a_study_can_choose_it(kit: Kit) -> None:
    """A study with its options is accepted, before any engine has started."""
    with kit.there() as context:
        entry = MeterEntry(name=kit.meter.name, options=dict(context.options))
        need(len(chosen_meters([entry], _only(kit))) == 1, "was not chosen")


@check
def whole_numbers_are_taken(kit: Kit) -> None:
    """A whole number will do where a number is asked for: a study may say 65 for 65.0."""
    with kit.there() as context:
        given = context.options
        whole = {k: int(v) for k, v in given.items() if type(v) is float and v == int(v)}
        applies(whole, "no option is such a number")
        kit.meter.info(replace(context, options={**given, **whole}))


@check
def wrong_types_are_refused(kit: Kit) -> None:
    """An option of another type, ``nan`` or infinity is an error of usage, and nothing else."""
    applies(kit.meter.options, "it has no options")
    for key, of in kit.meter.options.items():
        for value in WRONG.get(of, ()):
            _refused(kit, {key: value})


@check
def wrong_values_are_refused(kit: Kit) -> None:
    """An option that makes no sense is an error of usage, and nothing else."""
    applies(kit.world.refused, "this world names none")
    for options in kit.world.refused:
        _refused(kit, options)


@check
def refusals_help(kit: Kit) -> None:
    """Whoever is refused is told which option, and what to do instead."""
    refusals = [*_refusals(kit)]
    applies(refusals, "nothing is refused")
    for options, refusal in refusals:
        unnamed = [key for key in options if key not in refusal.message]
        need(not unnamed, f"{unnamed} not named in {refusal.message!r}")
        need(refusal.hint, f"no next step with {refusal.message!r}")


# -- inside ----------------------------------------------------------------------------------


def _only(kit: Kit) -> dict[str, Any]:
    return {kit.meter.name: kit.meter}


def _refused(kit: Kit, options: Mapping[str, Any]) -> None:
    with kit.there() as context:
        try:
            kit.meter.info(replace(context, options={**context.options, **options}))
        except UsageError:
            return
        except Exception as error:
            raise Failed(f"{options} raises {type(error).__name__}: {error}") from error
    raise Failed(f"{options} is taken")


def _refusals(kit: Kit) -> Iterator[tuple[Mapping[str, Any], UsageError]]:
    """Yield what is refused of what should be; what is taken has checks of its own."""
    wrong = [{key: v} for key, of in kit.meter.options.items() for v in WRONG.get(of, ())]
    with kit.there() as context:
        for options in (*wrong, *kit.world.refused):
            try:
                kit.meter.info(replace(context, options={**context.options, **options}))
            except UsageError as refusal:
                yield options, refusal
            except Exception:  # noqa: BLE001, S112 -- has a check of its own
                continue


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
