"""The SGLang adapter against fakes of SGLang."""

from inferometer.testing import conformance

test_conformance = conformance.suite("sglang")
