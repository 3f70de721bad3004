"""Declares two torchvision operators just before torchvision is imported.

Its compiled part is built for CUDA and does not load beside a CPU torch; then even its import fails
for want of these names. Text models never call them.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec


class Declare(MetaPathFinder):
    """Finds nothing; the first look for torchvision makes the declaration."""

    library: Any = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> ModuleSpec | None:
        """Return None always."""
        if fullname == "torchvision" and self.library is None:
            torch = importlib.import_module("torch")  # most processes never need it
            self.library = torch.library.Library("torchvision", "DEF")  # gone with its object
            for name in ("nms", "qnms"):
                self.library.define(f"{name}(Tensor dets, Tensor scores, float t) -> Tensor")
        return None


sys.meta_path.insert(0, Declare())
