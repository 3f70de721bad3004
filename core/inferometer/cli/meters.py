"""``inferometer meters``: which meters there are, and whether they can be read on this machine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.meter import EnergyMeter

ACCELERATOR = click.Choice(["cpu", "cuda", "rocm"])


@click.group("meters", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List the meters of energy and power, or check one."""


@command.command("list")
@click.option("--accelerator", type=ACCELERATOR, help="Ask for this one instead of the machine's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(accelerator: str | None, as_json: bool) -> None:
    """List the installed meters: what each reads, and whether it can on this machine."""
    from inferometer.cli import common
    from inferometer.plugins import Registry

    registry = Registry()
    rows = [_row(meter, accelerator) for _, meter in sorted(registry.meters().items())]
    if as_json:
        click.echo(common.as_json(rows))
    else:
        titles = ("meter", "scope", "kind", "reads", "here")
        table = [(*(str(row[title]) for title in titles[:-1]), _here(row)) for row in rows]
        click.echo("\n".join(common.fitted([titles, *table])))
    common.complain(registry)


@command.command("check", short_help="Check a meter against what measuring relies on.")
@click.argument("name")
@click.option(
    *("--option", "-o", "options"),
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the meter, as in a study; may be given again.",
)
@click.option("--accelerator", type=ACCELERATOR, help="What the engine would compute on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(name: str, options: tuple[str, ...], accelerator: str | None, as_json: bool) -> None:
    """Check meter NAME on this machine, in seconds, or a minute where a sensor is probed.

    What cannot be shown here is n/a.
    Ends with 3 when a check failed.
    """
    from contextlib import nullcontext
    from functools import partial

    from inferometer.cli import common

    kit = import_module("inferometer.testing.meters")
    meter = kit.found(name)
    given = _given(meter, options)
    world = kit.World(made=lambda: nullcontext(given), accelerator=accelerator or _accelerator())
    _refuse(kit, meter, world, given)
    click.echo(f"checking {name} on this machine, as it is", err=True)
    width = max(len(each.id) for each in kit.CHECKS)
    told = common.unsaid if as_json else partial(common.tell_outcome, width=width)
    results = kit.run(meter, world=world, told=told)
    if as_json:
        click.echo(common.as_json(results))
    common.conclude(name, results)


# -- inside ----------------------------------------------------------------------------------


def _accelerator() -> Any:
    from inferometer import environment

    return environment.accelerator()


def _refuse(kit: Any, meter: EnergyMeter, world: Any, given: dict[str, Any]) -> None:
    """Raise the refusal of an option that is wrong or missing: it is no fault of the meter."""
    try:
        options = given or kit.smallest(meter, world)
        meter.info(kit.Kit(meter, world).context(options))
    except UsageError:
        raise
    except Exception:  # noqa: BLE001 -- what else it raises, the checks tell
        return


def _row(meter: EnergyMeter, accelerator: str | None) -> dict[str, Any]:
    """Return what a meter says of itself here; a stranger's meter may also raise."""
    import msgspec

    from inferometer.watch import fault

    kit = import_module("inferometer.testing.meters")
    world = kit.World(accelerator=accelerator or _accelerator())
    row: dict[str, Any] = {"meter": meter.name, "scope": "", "kind": "", "reads": ""}
    row |= {"options": {}, "needs": [], "reason": "failed", "detail": "", "info": None}
    try:
        row["options"] = {key: of.__name__ for key, of in meter.options.items()}
        options = kit.smallest(meter, world)
        info = meter.info(kit.Kit(meter, world).context(options))
    except UsageError as refusal:
        return {**row, "reason": None, "detail": refusal.message}
    except Exception as error:  # noqa: BLE001 -- a stranger's code; the line has the error
        return {**row, **fault(error)._asdict()}
    told = {key: getattr(info, key) for key in ("scope", "kind", "reason", "detail")}
    reads = info.instrument or "not said"
    told |= {"reads": reads, "needs": sorted(options), "info": msgspec.to_builtins(info)}
    return {**row, **told}


def _here(row: Mapping[str, Any]) -> str:
    if row["reason"] is not None:
        return f"{row['reason']}: {row['detail']}"
    if row["info"] is None:
        return f"needs options: {row['detail']}"
    return f"needs {', '.join(row['needs'])}" if row["needs"] else "readable"


def _given(meter: EnergyMeter, words: Sequence[str]) -> dict[str, Any]:
    """Return ``key=value`` words as the meter's options, each of the type it declares."""
    import tomllib

    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"--option {word}: no value", hint="Write --option KEY=VALUE.")
        if key not in meter.options:
            raise UsageError.unknown(f"option of meter {meter.name!r}", key, meter.options)
        try:
            given[key] = text if meter.options[key] is str else tomllib.loads(f"it = {text}")["it"]
        except tomllib.TOMLDecodeError as error:
            said = f"--option {word}: {text!r} is no {meter.options[key].__name__}"
            raise UsageError(said, hint="Write the value as in a study.") from error
    return given
