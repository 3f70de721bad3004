"""The conformance kit: an author proves an engine adapter in three lines, without a GPU.

In a pytest file::

    from inferometer.testing import conformance

    test_conformance = conformance.suite("myengine")

Without pytest, :func:`run`; against a server that really runs, :func:`live`.
"""

from inferometer.testing.check import Failed, NotApplicable, Result
from inferometer.testing.conformance.behaviours import Behaviour
from inferometer.testing.conformance.checks import CHECKS
from inferometer.testing.conformance.entry import run, suite
from inferometer.testing.conformance.running import CHECKS as LIVE_CHECKS
from inferometer.testing.conformance.running import live

__all__ = [
    "CHECKS",
    "LIVE_CHECKS",
    "Behaviour",
    "Failed",
    "NotApplicable",
    "Result",
    "live",
    "run",
    "suite",
]
