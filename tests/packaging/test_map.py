"""The code on a page or two: what the READMEs of core and reports say of the tree is so."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from tests.packaging.test_tree import PUBLIC

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "inferometer"
DECISIONS = ROOT / "core" / "decisions"
PAGE = (ROOT / "core" / "README.md").read_text(encoding="utf-8")


def section(heading: str, page: str = PAGE) -> str:
    """Return what stands under a heading of a page."""
    (found,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return str(found)


def rows(heading: str, page: str = PAGE) -> list[list[str]]:
    """Return the cells of the table under a heading, by row, without its head."""
    lines = [line for line in section(heading, page).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return cells[1:]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def tree(package: Path = CORE) -> set[str]:
    """Return the modules of a package, and its folders with a slash."""
    found = {path.stem for path in package.glob("*.py") if path.stem != "__init__"}
    folders = (path for path in package.iterdir() if path.is_dir() and path.name != "__pycache__")
    return found | {f"{path.name}/" for path in folders if any(path.glob("[!_]*"))}


def test_the_map_names_every_module_once_and_none_that_is_not_there() -> None:
    mapped = [name for row in rows("The map") for name in named(row[1])]
    assert sorted(mapped) == sorted(set(mapped))
    assert set(mapped) == tree()


def test_the_page_of_the_reports_names_every_module_once() -> None:
    page = (ROOT / "reports" / "README.md").read_text(encoding="utf-8")
    mapped = [name for row in rows("Where things are", page) for name in named(row[0])]
    assert sorted(mapped) == sorted(tree(ROOT / "reports" / "inferometer_reports"))


def test_its_first_row_is_the_public_surface() -> None:
    assert {name.rstrip("/") for name in named(rows("The map")[0][1])} == PUBLIC


def test_every_step_of_the_walk_is_there() -> None:
    for step, where, *_ in rows("The walk"):
        for name in named(where):
            assert there(name), f"{step}: {name}"


def test_every_module_that_is_told_of_around_the_walk_is_there() -> None:
    told = [name for name in named(section("Around the walk")) if name.endswith((".py", "/"))]
    assert len(told) > 20
    for name in told:
        places = (CORE / name, ROOT / name, ROOT / "core" / name, *CORE.glob(f"*/{name}"))
        assert any(place.exists() for place in places), name


def there(name: str) -> bool:
    """Whether a dotted name under ``inferometer`` is a module or something in one."""
    parts = name.split(".")
    if parts[0] == "Renderer":
        parts.insert(0, "renderer")
    elif parts[0] == "inferometer":
        parts.pop(0)
    found: object = importlib.import_module("inferometer")
    for done, part in enumerate(parts):
        try:
            found = importlib.import_module(".".join(["inferometer", *parts[: done + 1]]))
        except ModuleNotFoundError:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
    return True


def test_each_decision_is_listed_under_its_number_and_title() -> None:
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\d+)\]\(([^)]+)\) \| (.+?) \| (.+) \|$", index, re.MULTILINE)
    pages = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [name for _, name, _, _ in listed] == [page.name for page in pages]
    for (number, _, title, line), page in zip(listed, pages, strict=True):
        heading = page.read_text(encoding="utf-8").partition("\n")[0]
        assert heading == f"# {number}. {title}"
        assert int(number) == int(page.name[:4])
        assert len(line) > 20
