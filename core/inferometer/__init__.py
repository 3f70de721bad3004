"""Inferometer: which LLM inference stack to run, by throughput, by energy, by cost.

Plugin authors need :data:`hookimpl` and the contracts in :mod:`inferometer.engine`,
:mod:`inferometer.meter` and :mod:`inferometer.renderer`. Programs use :mod:`inferometer.api`.
"""

from inferometer.hooks import hookimpl

__all__ = ["hookimpl"]
__version__ = "0.1.0"
