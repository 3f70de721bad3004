"""The conformance kit of meters: an author proves a meter in three lines, without its hardware.

In a pytest file::

    from inferometer.testing import meters

    test_meter = meters.suite(MyMeter(), world=meters.World(made=my_fake_sensor))

Without pytest, :func:`run`; what surrounds the meter is a :class:`World`.
"""

from inferometer.testing.check import Failed, NotApplicable, Result
from inferometer.testing.meters.checks import CHECKS
from inferometer.testing.meters.entry import found, run, suite
from inferometer.testing.meters.kit import Kit, smallest
from inferometer.testing.meters.world import REASONS, World

__all__ = [
    "CHECKS",
    "REASONS",
    "Failed",
    "Kit",
    "NotApplicable",
    "Result",
    "World",
    "found",
    "run",
    "smallest",
    "suite",
]
