"""A Ray cluster of this machine alone, for tests: raylets of its own that end with it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

QUICK = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 4,
}
"""A node that is gone is noticed within seconds."""


class Rays:
    """Two or more raylets with a temporary folder of their own; a context."""

    def __init__(self, cpus: tuple[int, ...] = (1, 1), **more: Any) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster  # noqa: PLC0415 -- costs a second

        self.folder = Path(tempfile.mkdtemp(prefix="ir-", dir="/tmp"))
        self._size = {"object_store_memory": 80 << 20, **more}
        head = {
            "num_cpus": cpus[0],
            "include_dashboard": False,
            "_system_config": QUICK,
            "temp_dir": str(self.folder),
            **self._size,
        }
        self.cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self.workers = [self.add(count) for count in cpus[1:]]

    def add(self, cpus: int, **more: Any) -> Any:
        """Start one more raylet and wait for it."""
        return self.cluster.add_node(num_cpus=cpus, **self._size, **more)

    @property
    def address(self) -> str:
        """Where the cluster is."""
        return str(self.cluster.address)

    def kill(self, node: Any) -> None:
        """End a raylet as a power cut would."""
        self.cluster.remove_node(node, allow_graceful=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)
