"""All checks, in the order a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.doctor import host, limits, nvidia, software
from inferometer.doctor.check import DEADLINE_S, Check, made, within
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.doctor.check import Site


def examine(site: Site) -> Iterator[Check]:
    """Yield each check as it is made. Never raises for what it finds."""
    for probe in (*host.PROBES, *limits.PROBES, *nvidia.probes(), *software.PROBES):
        yield made(probe, site)
    try:
        # A plugin may hang here again where it did in the check of plugins.
        engines = within(DEADLINE_S, lambda: list(software.engine_probes(site)))
    except Exception as error:  # noqa: BLE001 -- two plugins of one name: a finding like any other
        remedy = "See the line `plugins`."
        yield Check(id="engines", status="fail", found=plain(str(error)), remedy=remedy)
        return
    for probe in engines:
        yield made(probe, site)
