"""The line that says which launches were tried again, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UnsetType

from inferometer.language import tr
from inferometer.reasons import reason_words
from inferometer_reports.blocks import say
from inferometer_reports.escape import line

if TYPE_CHECKING:
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View


def section(view: View) -> list[Block]:
    """Return the line; nothing where no launch was tried again."""
    again = view.comparison.retried
    if isinstance(again, UnsetType):
        return []
    listed = "; ".join(
        f"{line(view.label(each.stack))}, {line(each.model)}: {each.count} "
        f"({line(reason_words(each.reason))})"
        for each in again
    )
    return [say(tr("Launches tried again, for a cause that may pass: {list}.", list=listed))]
