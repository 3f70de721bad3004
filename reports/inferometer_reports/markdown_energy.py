"""The section of ``report.md`` on energy: instruments, figures and what stands beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.numbers import number, percent, with_interval
from inferometer.reasons import reason_words
from inferometer_reports import instruments
from inferometer_reports.escape import block, markdown, table
from inferometer_reports.view import ARCHITECTURE_TITLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.comparison import Cell, PhaseParts, PhaseSplit
    from inferometer.records import MeterInfo
    from inferometer_reports.view import View

COLUMNS = {
    "J/output token (gross)": "energy_j_per_output_token",
    "Plus-minus (%)": "energy_pm_percent",
    "Mean power (W)": "mean_power_w",
    "Peak (W)": "peak_power_w",
    "Over limit": "power_share",
    "Net of bare idle (J/token)": "net_bare_j_per_output_token",
    "Net of loaded idle (J/token)": "net_loaded_j_per_output_token",
    "Host's share": "host_share",
    "gCO2e/Mtok": "carbon_g_per_mtok_output",
}
ABOUT = ("net_bare_j_per_output_token", "net_loaded_j_per_output_token")
DECLARED = ("host_share", "carbon_g_per_mtok_output")
"""Metrics whose details name a baseline, an instrument or a declared value."""
NOTE = (
    "Gross energy is what is ranked. The plus-minus is that of the window's edges and of sampling; "
    "the sensor's own bias is not in it. Net figures are secondary and name their baseline."
)
PHASES = (
    "Joules = idle power x seconds + prefill x uncached prompt tokens + decode x output tokens, "
    "fitted over the windows of all workloads at one load and the stretches of loaded idle. "
    "Intervals: launches left out one at a time. Unallocated is what the fit leaves over."
)
NO_PHASES = (
    "Prefill and decode were not told apart: that takes workloads of unlike shape at one load, a "
    "stretch of loaded idle, and a meter that sees the load."
)


def section(view: View) -> list[str]:
    """Return the instruments, the figures of every load point, and prefill against decode."""
    meters = view.comparison.meters
    if not meters:
        return []
    lines = ["## Energy", "", NOTE, "", *_instruments(meters)]
    readable = [info.name for info in meters if info.reason is None]
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in view.comparison.cells:
        groups.setdefault((cell.model, cell.workload, cell.load), []).append(cell)
    for place, cells in groups.items() if readable else ():
        title = ARCHITECTURE_TITLES[cells[0].architecture]
        lines += [
            f"### {title}: {markdown(', '.join(place))}",
            "",
            *_figures(view, cells, readable),
        ]
    return [*lines, *_phases(view)]


def _instruments(meters: Sequence[MeterInfo]) -> list[str]:
    header = ["Meter", "Scope", "Boundary", "Instrument", "Joules are", "Devices", "Updates"]
    rows = [
        [
            markdown(info.name),
            info.scope,
            markdown(info.boundary) or "as the scope says",
            instruments.INSTRUMENTS.get(info.instrument, "not recorded"),
            f"n/a ({reason_words(info.reason)})" if info.reason else instruments.kind(info),
            _devices(info),
            _updates(info),
            markdown(info.permission) or "not recorded",
            markdown(info.detail if info.reason else info.method),
        ]
        for info in meters
    ]
    return table([*header, "Permission", "How"], rows)


def _updates(info: MeterInfo) -> str:
    """Say how often there is a new value, and its smallest step."""
    beat = "not probed" if info.update_ms is None else f"every {number(info.update_ms)} ms"
    if info.resolution is None:
        return beat
    unit = {"counter": "J", "power": "W"}.get(info.instrument, "")
    return f"{beat}, steps of {number(info.resolution)} {unit}".rstrip()


def _devices(info: MeterInfo) -> str:
    said = [
        (device.model or device.name)
        + (f" (left out: {device.left_out})" if device.left_out else "")
        for device in info.devices
    ]
    counts = {text: said.count(text) for text in said}
    return ", ".join(markdown(f"{n} x {text}") for text, n in counts.items()) or "not named"


def _figures(view: View, cells: Sequence[Cell], meters: Sequence[str]) -> list[str]:
    """Return one row a stack and meter; columns in which nobody has a number are named below."""
    columns = {
        title: metric
        for title, metric in COLUMNS.items()
        if any(_has(cell, f"{metric}@{name}") for cell in cells for name in meters)
        or metric == "energy_j_per_output_token"
    }
    rows = [
        [
            markdown(view.label(cell.stack)),
            markdown(name),
            *(_cell(cell, f"{metric}@{name}") for metric in columns.values()),
            instruments.mark(cell.values.get(f"energy_j_per_output_token@{name}"))
            or _kind(cell, name),
        ]
        for cell in cells
        for name in meters
    ]
    lines = table(["Stack", "Meter", *columns, "Standing"], rows)
    absent = [
        f"{title}: {reason_words(reason)}"
        for title, metric in COLUMNS.items()
        if title not in columns
        for reason in [_reason(cells, metric, meters)]
    ]
    lines += [f"No figure here of {markdown('; '.join(absent))}.", ""] if absent else []
    about = list(dict.fromkeys(_about(view, cells, meters)))
    return [*lines, *(f"- {block(text)}" for text in about), *([""] if about else [])]


def _has(cell: Cell, key: str) -> bool:
    return key in cell.values and cell.values[key].value is not None


def _cell(cell: Cell, key: str) -> str:
    value = cell.values.get(key)
    return "n/a (not run)" if value is None else with_interval(value)


def _kind(cell: Cell, meter: str) -> str:
    value = cell.values.get(f"energy_j_per_output_token@{meter}")
    return "n/a" if value is None or value.value is None else value.kind


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


def _phases(view: View) -> list[str]:
    phases = view.comparison.phases
    lines = ["### Prefill and decode", ""]
    if not phases:
        return [*lines, NO_PHASES, ""]
    header = ["Stack", "Model", "Load", "Meter", "Idle (W)", "Prefill (J/prompt token)"]
    header += ["Decode (J/output token)", "Kind", "Windows", "Workloads", "Worst held out"]
    rows = [_phase_row(view, phase) for phase in phases]
    lines += [PHASES, "", *table(header, rows)]
    header = ["Stack", "Model", "Load", "Meter", "Workload", "Prefill", "Decode", "Idle"]
    rows = [_parts_row(view, phase, part) for phase in phases for part in phase.parts]
    if rows:
        lines += table([*header, "Unallocated", "Metered (J)"], rows)
    counted = [phase for phase in phases if phase.engine_prefill_share is not None]
    for phase in counted:
        lines.append(
            f"- {markdown(view.label(phase.stack))}, {markdown(phase.model)}, "
            f"{markdown(phase.load)}: the engine counts "
            f"{percent(100 * (phase.engine_prefill_share or 0.0))} of its busy seconds as prefill "
            "(time, not energy)."
        )
    refused = [phase for phase in phases if phase.decode_j_per_token.reason]
    for phase in refused:
        where = f"{view.label(phase.stack)}, {phase.model}, {phase.load}, {phase.meter}"
        lines.append(f"- Not told apart: {markdown(where)}: {_why(phase)}")
    return [*lines, ""] if counted or refused else lines


def _why(phase: PhaseSplit) -> str:
    value = phase.decode_j_per_token
    return markdown(f"{reason_words(value.reason)} ({value.detail})")


def _phase_row(view: View, phase: PhaseSplit) -> list[str]:
    worst = max(phase.held_out, key=lambda name: abs(phase.held_out[name]), default="")
    held = f"{worst} {100 * phase.held_out[worst]:+.1f} %" if worst else "none could be"
    return [
        markdown(view.label(phase.stack)),
        markdown(phase.model),
        markdown(phase.load),
        markdown(phase.meter),
        with_interval(phase.idle_w),
        with_interval(phase.prefill_j_per_token),
        with_interval(phase.decode_j_per_token),
        phase.decode_j_per_token.kind,
        str(phase.windows),
        str(phase.workloads),
        markdown(held),
    ]


def _parts_row(view: View, phase: PhaseSplit, part: PhaseParts) -> list[str]:
    joules = (part.prefill_j, part.decode_j, part.idle_j, part.unallocated_j)
    return [
        markdown(view.label(phase.stack)),
        markdown(phase.model),
        markdown(phase.load),
        markdown(phase.meter),
        markdown(part.workload),
        *(f"{round(100 * one / part.metered_j, 1) + 0.0:.1f} %" for one in joules),
        number(part.metered_j),
    ]
