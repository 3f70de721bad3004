"""Hooks and the types that they return as Markdown, read from the source: all a plugin has to know.

The types of a hook are those that its annotation names, the other classes beside the first of them,
and what the members of all these name in turn.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from tests.docs.pages import ROOT, marks, plain, text_of

if TYPE_CHECKING:
    from pathlib import Path

CORE = ROOT / "core" / "inferometer"
LEFT = {"Comparison", "Several", "Versus", "Brought"}
"""What a renderer gets: everything that was measured, whose modules say it better than a list. And
what is ours alone."""


class Named(NamedTuple):
    """A class, or a name for several, where it is defined."""

    name: str
    module: str
    node: ast.ClassDef | ast.Assign


@cache
def parsed(module: str) -> ast.Module:
    path = CORE.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def hooks() -> dict[str, ast.FunctionDef]:
    """Return every hook of ``inferometer.hooks`` by its name."""
    return {
        node.name: node
        for node in parsed("inferometer.hooks").body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }


def signature(node: ast.FunctionDef) -> str:
    """Return a function's head as it is written."""
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({ast.unparse(node.args)}){returned}"


def found(name: str, module: str) -> Named | None:
    """Return where a name that is used in a module is defined, None when it is not ours."""
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("inferometer"):
            if name in {alias.name for alias in node.names}:
                return found(name, node.module or "")
        elif isinstance(node, ast.ClassDef) and node.name == name:
            return Named(name, module, node)
    for node in parsed(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return Named(name, module, node)
    return None


def used(node: ast.AST) -> list[str]:
    """Return the names in annotations, in order."""
    if isinstance(node, ast.Assign):
        return [each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)]
    annotations = [
        each
        for part in ast.walk(node)
        for each in (getattr(part, "annotation", None), getattr(part, "returns", None))
        if each is not None
    ]
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    return [
        name.id
        for tree in (*bases, *annotations)
        for name in ast.walk(tree)
        if type(name) is ast.Name
    ]


def contracts(hook: ast.FunctionDef) -> list[Named]:
    """Return the types of a hook, the one it returns first."""
    seen: dict[tuple[str, str], Named] = {}
    waiting = [(name, "inferometer.hooks") for name in used(hook)]
    while waiting:
        name, module = waiting.pop(0)
        type_ = None if name in LEFT or name.isupper() else found(name, module)
        if type_ is None or (type_.module, name) in seen:
            continue
        beside = [] if seen else parsed(type_.module).body
        seen[type_.module, name] = type_
        waiting += [(each, type_.module) for each in used(type_.node)]
        waiting += [
            (node.name, type_.module)
            for node in beside
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ]
    return list(seen.values())


def described(type_: Named) -> str:
    """Return a type's heading, docstring and members as Markdown."""
    head = f"### {type_.name}\n\n"
    if isinstance(type_.node, ast.Assign):
        return f"{head}`{ast.unparse(type_.node)}`, of `{type_.module}`.\n"
    bases = ", ".join(ast.unparse(base) for base in type_.node.bases)
    words = plain(ast.get_docstring(type_.node) or "")
    kind = f" ({bases})" if bases else ""
    lines = [f"- {line}" for line in members(type_.node)]
    listing = "\n".join(lines) + "\n" if lines else ""
    return f"{head}`{type_.module}.{type_.name}`{kind}. {words}\n\n{listing}"


def members(node: ast.ClassDef) -> list[str]:
    """Return one line for each public field, property and method."""
    lines = []
    for part, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(part, ast.AnnAssign):
            name, words = ast.unparse(part), ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                words = plain(str(after.value.value))
        elif isinstance(part, ast.FunctionDef):
            name, words = signature(part), plain(ast.get_docstring(part) or "")
            if any(ast.unparse(each).endswith("property") for each in part.decorator_list):
                name = f"{part.name}: {ast.unparse(part.returns) if part.returns else 'Any'}"
        else:
            continue
        if not name.startswith("_") or name.startswith("__call__"):
            lines.append(f"`{name}`" + (f": {words}" if words else ""))
    return lines


def begun(page: Path) -> None:
    """Begin a section for each hook that has none; what is to be said of it is written by hand."""
    for name in hooks():
        if name not in marks(text_of(page)):
            lines = [f"\n## `{name}`\n"]
            for part in (name, f"{name} contracts"):
                lines += [
                    f"<!-- {part}: begin, written by tests/docs -->",
                    f"<!-- {part}: end -->\n",
                ]
            with page.open("a", encoding="utf-8") as file:
                file.write("\n".join(lines))


def parts() -> dict[str, str]:
    """Return the generated parts of the page of hooks, by their names."""
    told: set[tuple[str, str]] = set()
    made = {}
    for name, node in hooks().items():
        head = f"```python\n@hookimpl\ndef {signature(node)}: ...\n```\n\n"
        made[name] = head + plain(ast.get_docstring(node) or "") + "\n"
        types = contracts(node)
        made[f"{name} contracts"] = "\n".join(
            described(type_) for type_ in types if type_[:2] not in told
        )
        told |= {type_[:2] for type_ in types}
    return made
