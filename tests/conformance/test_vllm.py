"""The vLLM adapter against fakes of vLLM."""

from inferometer.testing import conformance

test_conformance = conformance.suite("vllm")
