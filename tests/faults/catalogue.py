"""All faults, by family, and the table of them in the docs."""

from __future__ import annotations

from tests.faults.answers import ANSWERS
from tests.faults.engines import ENGINES
from tests.faults.fault import DONE, Expected, Fault
from tests.faults.machine import MACHINE
from tests.faults.meters import METERS
from tests.faults.plugins import PLUGINS
from tests.programs import ROOT

FAMILIES: dict[str, tuple[Fault, ...]] = {
    "Engines": ENGINES,
    "Answers": ANSWERS,
    "Meters": METERS,
    "Plugins": PLUGINS,
    "The machine and us": MACHINE,
}
CATALOGUE = tuple(fault for family in FAMILIES.values() for fault in family)
PAGE = ROOT / "docs/reference/fault-catalogue.md"
BEGIN, END = "<!-- made by: python -m tests.faults.catalogue -->\n", "<!-- end -->\n"


def tables() -> str:
    """Return the tables of the page, a family each."""
    lines: list[str] = []
    for family, faults in FAMILIES.items():
        lines += ["", f"## {family}", "", "| fault | what happens | what is said | exit |"]
        lines += ["|---|---|---|---|"]
        for fault in faults:
            said = "; ".join(said_of(fault.expected))
            lines.append(f"| {fault.name} | {fault.what} | {said} | {fault.expected.exit} |")
    return "\n".join([*lines[1:], "", ""])


def said_of(expected: Expected) -> list[str]:
    """Return codes and words, as the page shows them."""
    launch = "" if expected.launch in {"ok", "none"} else f"launch `{expected.launch}`"
    request = f"request `{expected.request}`" if expected.request else ""
    meter = f"meter `{expected.meter}`" if expected.meter else ""
    words = "" if expected.says == DONE else f'"{expected.says}"'
    found = [launch, request, meter, f"`{expected.check}`" if expected.check else "", words]
    return [one for one in found if one] or ["nothing is lost"]


def page(text: str) -> str:
    """Return the page's text with the tables as they are now."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
