"""Stacks that ran code which came with a model: the one thing a study may ask for and we flag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inferometer.language import later, tr
from inferometer_reports.blocks import item
from inferometer_reports.escape import line

if TYPE_CHECKING:
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

TEXT = later(
    "{stack} on {model} was told to trust remote code (trust_remote_code): the model's own "
    "programs ran with all rights of the user who measured."
)
ASKED = re.compile(r"trust[-_]remote[-_]code", re.IGNORECASE)


def section(view: View) -> list[Block]:
    """Return a remark for each stack whose start says so."""
    return [
        item(tr(TEXT, stack=line(one.stack), model=line(one.model)))
        for one in view.comparison.starts
        if ASKED.search(one.script)
    ]
