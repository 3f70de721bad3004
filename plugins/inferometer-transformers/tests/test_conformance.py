"""The adapter against fakes of its server."""

from inferometer.testing import conformance
from inferometer_transformers import TransformersServe

test_conformance = conformance.suite(TransformersServe())
