"""The simulator's adapter against fakes of its server."""

from inferometer.testing import conformance
from inferometer_plugins.simulator import Simulator
from inferometer_plugins.simulator.adapter import FIELDS

test_conformance = conformance.suite(
    Simulator(), behaviour=conformance.Behaviour(fields=FIELDS, unknown_fields=400)
)
