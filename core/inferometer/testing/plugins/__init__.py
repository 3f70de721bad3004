"""Checks a whole plugin, in a process of its own: that it loads, and each thing that it brings.

A plugin is a folder with a ``pyproject.toml``, installed or not, or the name of a distribution that
is installed. What a plugin does to its process it does not do to ours.
"""

from inferometer.testing.plugins.running import check
from inferometer.testing.plugins.target import Told

__all__ = ["Told", "check"]
