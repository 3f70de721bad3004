"""A report says which stacks ran code that came with a model, and no other."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports import factory

from inferometer_reports import markdown

WORDS = "was told to trust remote code"


def test_code_that_comes_with_a_model_is_flagged_under_method() -> None:
    base = factory.comparison()
    assert WORDS not in markdown.render(base)["report.md"].decode()
    first, *others = base.starts
    asked = replace(first, script=f"{first.script} \\\n  --trust-remote-code")
    text = markdown.render(replace(base, starts=[asked, *others]))["report.md"].decode()
    assert text.count(WORDS) == 1
    method = text.partition("## Method")[2]
    assert WORDS in method
    assert asked.stack in next(line for line in method.splitlines() if WORDS in line)
