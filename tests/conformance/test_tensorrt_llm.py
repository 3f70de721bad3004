"""The TensorRT-LLM adapter against fakes of TensorRT-LLM."""

from inferometer.testing import conformance

test_conformance = conformance.suite("tensorrt-llm")
