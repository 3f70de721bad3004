"""The table that says what differences a study could see, and why no smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr
from inferometer.numbers import number, percent
from inferometer_reports.blocks import Heading, Table, say
from inferometer_reports.escape import line
from inferometer_reports.view import key_of

if TYPE_CHECKING:
    from inferometer.comparison import Noise
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

ABOUT = later(
    "Launch noise: standard deviation from launch to launch of one stack, rounds taken out, and "
    "the window's own noise where it is known; 0 % where that noise explains all of it. Window "
    "noise: that of one window inside a launch, as the batches of stacks that got the same "
    "requests tell it. Smallest detectable difference: a true one of that size is found four "
    "times in five, smaller ones could not have been seen. Windows a launch: the number, each as "
    "long as these were, with which equal stacks are soonest a tie."
)
HEADER = (
    *(later("Ranking"), later("Launches"), later("Launch noise"), later("Window noise")),
    *(later("Smallest detectable difference"), later("Windows a launch")),
)


def section(view: View) -> list[Block]:
    """Return the table, one row a ranking; nothing where no ranking has an order."""
    found = view.comparison.noise
    if not found:
        return []
    rows = [_row(view, noise) for noise in found]
    return [
        Heading(3, tr("What differences could be seen")),
        say(tr(ABOUT)),
        Table([tr(it) for it in HEADER], rows),
    ]


def _row(view: View, noise: Noise) -> list[str]:
    subject = view.metric_title(key_of(noise.metric, noise.meter), unit=False)
    profile = view.profile_words(noise.profile)
    where = f"{subject}: {noise.model}, {noise.workload}, {noise.load}{profile}"
    why = f" ({line(noise.window_sd_reason)})" if noise.window_sd_reason else ""
    return [
        line(where),
        str(noise.launches),
        _percent(noise.launch_sd_percent),
        _percent(noise.window_sd_percent) + why,
        _percent(noise.detectable_percent),
        _advice(noise),
    ]


def _percent(value: float | None) -> str:
    return "n/a" if value is None else percent(value)


def _advice(noise: Noise) -> str:
    if noise.windows is None:
        return "n/a"
    per = tr(
        "{window_s} s of windows beside {beside_s} s",
        window_s=number(noise.window_s),
        beside_s=number(noise.beside_s),
    )
    return f"{noise.windows} ({per})"
