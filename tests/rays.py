"""A Ray cluster of this machine alone, for tests: raylets of its own that end with it.

``python -m tests.rays`` holds one in a process of its own until its standard input is closed, also
by our death: it prints the address, and hears ``kill`` and ``add`` of the second node.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
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

    def __init__(self, cpus: tuple[int, ...] = (1, 1), gpus: int = 0, **more: Any) -> None:
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
        self.workers = [self.add(count, num_gpus=gpus) for count in cpus[1:]]

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


@contextmanager
def held(folder: Path, *gpus: str) -> Iterator[Held]:
    """Hold a cluster of two nodes; ``folder`` is what its nodes keep in their cache.

    With ``gpus`` each has so many (made up), and there is a third node that only drives.
    """
    environment = {**os.environ, "INFEROMETER_CACHE": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.rays", *gpus],
        cwd=Path(__file__).parents[1],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield Held(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=300)


class Held:
    """A cluster that another process holds."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._said()

    def tell(self, word: str) -> None:
        """Have the second node killed or added, and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._said() == word

    def _said(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("said "):  # Ray speaks, too
                return line.split()[1]
        raise AssertionError("the cluster did not start")


def hold() -> None:
    """Hold a cluster until standard input ends."""
    several = Rays((0, 1, 1), gpus=int(sys.argv[1])) if sys.argv[1:] else Rays()
    with several as rays:
        sys.stdout.write(f"said {rays.address}\n")
        sys.stdout.flush()
        for line in sys.stdin:
            if line.strip() == "kill":
                rays.kill(rays.workers.pop())
            else:
                rays.workers.append(rays.add(1))
            sys.stdout.write(f"said {line.strip()}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    hold()
