"""Ways to start load hosts that come with Inferometer: Ray, on the machines of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import hookimpl
from inferometer_plugins.loadhosts.ray import RayLoadHosts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.loadhosts import LoadHosts


@hookimpl
def inferometer_load_hosts() -> Sequence[LoadHosts]:
    """Return the ways to start load hosts; Ray itself is imported when it is asked to."""
    return [RayLoadHosts()]
