"""The section on energy: instruments, figures and what stands beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr, trs
from inferometer.numbers import number, percent, shown, with_interval
from inferometer.reasons import reason_words
from inferometer_reports import instruments
from inferometer_reports.blocks import Datum, Heading, Table, item, say, tabled
from inferometer_reports.escape import line
from inferometer_reports.view import ARCHITECTURE_TITLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.comparison import Cell, PhaseParts, PhaseSplit
    from inferometer.records import MeterInfo
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

COLUMNS = {
    later("J/output token (gross)"): "energy_j_per_output_token",
    later("Plus-minus (%)"): "energy_pm_percent",
    later("Mean power (W)"): "mean_power_w",
    later("Peak (W)"): "peak_power_w",
    later("Over limit"): "power_share",
    later("Net of bare idle (J/token)"): "net_bare_j_per_output_token",
    later("Net of loaded idle (J/token)"): "net_loaded_j_per_output_token",
    later("Host's share"): "host_share",
    later("gCO2e/Mtok"): "carbon_g_per_mtok_output",
}
ABOUT = ("net_bare_j_per_output_token", "net_loaded_j_per_output_token")
DECLARED = ("host_share", "carbon_g_per_mtok_output")
"""Metrics whose details name a baseline, an instrument or a declared value."""
NOTE = later(
    "Gross energy is what is ranked. The plus-minus is that of the window's edges and of "
    "sampling; the sensor's own bias is not in it. Net figures are secondary and name their "
    "baseline."
)
PHASES = later(
    "Joules = idle power x seconds + prefill x uncached prompt tokens + decode x output tokens, "
    "fitted over the windows of all workloads at one load and the stretches of loaded idle. "
    "Intervals: launches left out one at a time. Unallocated is what the fit leaves over."
)
NO_PHASES = later(
    "Prefill and decode were not told apart: that takes workloads of unlike shape at one load, a "
    "stretch of loaded idle, and a meter that sees the load."
)


def section(view: View) -> list[Block]:
    """Return the instruments, the figures of every load point, and prefill against decode."""
    meters = view.comparison.meters
    if not meters:
        return []
    blocks: list[Block] = [Heading(2, tr("Energy")), say(tr(NOTE)), _instruments(meters)]
    readable = [info.name for info in meters if info.reason is None]
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in view.comparison.cells:
        groups.setdefault((cell.model, cell.workload, cell.load), []).append(cell)
    for place, cells in groups.items() if readable else ():
        title = ARCHITECTURE_TITLES[cells[0].architecture]
        blocks += [
            Heading(3, f"{title}: {line(', '.join(place))}"),
            *_figures(view, cells, readable),
        ]
    return [*blocks, *_phases(view)]


def _instruments(meters: Sequence[MeterInfo]) -> Table:
    header = trs("Meter", "Scope", "Boundary", "Instrument", "Joules are", "Devices", "Updates")
    rows = [
        [
            line(info.name),
            info.scope,
            line(info.boundary) or tr("as the scope says"),
            tr(instruments.INSTRUMENTS.get(info.instrument, "not recorded")),
            f"n/a ({reason_words(info.reason)})" if info.reason else tr(instruments.kind(info)),
            _devices(info),
            _updates(info),
            line(info.permission) or tr("not recorded"),
            line(info.detail if info.reason else info.method),
        ]
        for info in meters
    ]
    return Table([*header, *trs("Permission", "How")], rows)


def _updates(info: MeterInfo) -> str:
    """Say how often there is a new value, and its smallest step."""
    beat = (
        tr("not probed")
        if info.update_ms is None
        else tr("every {update_ms} ms", update_ms=number(info.update_ms))
    )
    if info.resolution is None:
        return beat
    unit = {"counter": "J", "power": "W"}.get(info.instrument, "")
    return tr(
        "{beat}, steps of {resolution} {unit}",
        beat=beat,
        resolution=number(info.resolution),
        unit=unit,
    ).rstrip()


def _devices(info: MeterInfo) -> str:
    said = [
        (device.model or device.name)
        + (tr(" (left out: {left_out})", left_out=device.left_out) if device.left_out else "")
        for device in info.devices
    ]
    counts = {text: said.count(text) for text in said}
    return ", ".join(line(f"{n} x {text}") for text, n in counts.items()) or tr("not named")


def _figures(view: View, cells: Sequence[Cell], meters: Sequence[str]) -> list[Block]:
    """Return one row a stack and meter; columns in which nobody has a number are named below."""
    columns = {
        title: metric
        for title, metric in COLUMNS.items()
        if any(_has(cell, f"{metric}@{name}") for cell in cells for name in meters)
        or metric == "energy_j_per_output_token"
    }
    rows = [
        [
            line(view.label(cell.stack)),
            line(name),
            *(_cell(cell, f"{metric}@{name}") for metric in columns.values()),
            tr(instruments.mark(cell.values.get(f"energy_j_per_output_token@{name}")))
            or _kind(cell, name),
        ]
        for cell in cells
        for name in meters
    ]
    blocks: list[Block] = [Table([*trs("Stack", "Meter", *columns), tr("Standing")], rows)]
    absent = [
        f"{tr(title)}: {reason_words(reason)}"
        for title, metric in COLUMNS.items()
        if title not in columns
        for reason in [_reason(cells, metric, meters)]
    ]
    blocks += (
        [say(tr("No figure here of {absent}.", absent=line("; ".join(absent))))] if absent else []
    )
    about = dict.fromkeys(_about(view, cells, meters))
    return [*blocks, *(item(line(text)) for text in about)]


def _has(cell: Cell, key: str) -> bool:
    return key in cell.values and cell.values[key].value is not None


def _cell(cell: Cell, key: str) -> str:
    value = cell.values.get(key)
    if value is None:
        return tr("n/a (not run)")
    return Datum(with_interval(value), value, f"{cell.id}#{key}")


def _kind(cell: Cell, meter: str) -> str:
    value = cell.values.get(f"energy_j_per_output_token@{meter}")
    return "n/a" if value is None or value.value is None else tr(value.kind)


def _reason(cells: Sequence[Cell], metric: str, meters: Sequence[str]) -> str | None:
    keys = [f"{metric}@{name}" for name in meters]
    found = [cell.values[key].reason for cell in cells for key in keys if key in cell.values]
    return found[0] if found else "not_run"


def _about(view: View, cells: Sequence[Cell], meters: Sequence[str]) -> Iterator[str]:
    """Yield what the net figures, the host's share and carbon rest on."""
    for metric in (*ABOUT, *DECLARED):
        for cell in cells:
            for name in meters:
                key = f"{metric}@{name}"
                if _has(cell, key) and cell.values[key].detail:
                    whose = "" if metric in DECLARED else f"{view.label(cell.stack)}, "
                    parts = cell.values[key].detail.split("; ")
                    told = [part for part in parts if instruments.MARKS[1] not in part]
                    told = [part for part in told if not part.startswith(instruments.MARKS[2])]
                    yield f"{whose}{name}: {'; '.join(told)}"


def _phases(view: View) -> list[Block]:
    phases = view.comparison.phases
    blocks: list[Block] = [Heading(3, tr("Prefill and decode"))]
    if not phases:
        return [*blocks, say(tr(NO_PHASES))]
    header = trs("Stack", "Model", "Load", "Meter", "Idle (W)", "Prefill (J/prompt token)")
    header += trs("Decode (J/output token)", "Kind", "Windows", "Workloads", "Worst held out")
    rows = [_phase_row(view, phase) for phase in phases]
    blocks += [say(tr(PHASES)), Table(header, rows)]
    header = trs("Stack", "Model", "Load", "Meter", "Workload", "Prefill", "Decode", "Idle")
    rows = [_parts_row(view, phase, part) for phase in phases for part in phase.parts]
    blocks += tabled([*header, *trs("Unallocated", "Metered (J)")], rows)
    return [*blocks, *_remarks(view, phases)]


def _remarks(view: View, phases: Sequence[PhaseSplit]) -> Iterator[Block]:
    """Yield what engines count as prefill, and why some were not told apart."""
    for phase in phases:
        if phase.engine_prefill_share is None:
            continue
        yield item(
            tr(
                "{stack}, {model}, {load}: the engine counts {share} of its busy seconds as "
                "prefill (time, not energy).",
                stack=line(view.label(phase.stack)),
                model=line(phase.model),
                load=line(phase.load),
                share=percent(100 * phase.engine_prefill_share),
            )
        )
    for phase in phases:
        if phase.decode_j_per_token.reason:
            where = f"{view.label(phase.stack)}, {phase.model}, {phase.load}, {phase.meter}"
            yield item(tr("Not told apart: {where}: {why}", where=line(where), why=_why(phase)))


def _why(phase: PhaseSplit) -> str:
    value = phase.decode_j_per_token
    return line(f"{reason_words(value.reason)} ({value.detail})")


def _phase_row(view: View, phase: PhaseSplit) -> list[str]:
    worst = max(phase.held_out, key=lambda name: abs(phase.held_out[name]), default="")
    held = (
        f"{worst} {shown(100 * phase.held_out[worst], '+.1f')} %" if worst else tr("none could be")
    )
    return [
        line(view.label(phase.stack)),
        line(phase.model),
        line(phase.load),
        line(phase.meter),
        with_interval(phase.idle_w),
        with_interval(phase.prefill_j_per_token),
        with_interval(phase.decode_j_per_token),
        tr(phase.decode_j_per_token.kind),
        str(phase.windows),
        str(phase.workloads),
        line(held),
    ]


def _parts_row(view: View, phase: PhaseSplit, part: PhaseParts) -> list[str]:
    joules = (part.prefill_j, part.decode_j, part.idle_j, part.unallocated_j)
    return [
        line(view.label(phase.stack)),
        line(phase.model),
        line(phase.load),
        line(phase.meter),
        line(part.workload),
        *(f"{shown(round(100 * one / part.metered_j, 1) + 0.0, '.1f')} %" for one in joules),
        number(part.metered_j),
    ]
