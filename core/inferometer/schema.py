"""JSON Schemas of the files that people write and programs read, from the types that parse them.

They use only what draft 4 and draft 2020-12 understand alike: editors of TOML read the one, most
libraries the other. What types cannot say (one key needs another, names must be known) is said by
``inferometer plan`` and by whatever else reads the file.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer.comparison import Comparison
from inferometer.cost.scenario import Scenario
from inferometer.plan import Plan
from inferometer.prices import Book
from inferometer.records import Condition, LaunchRecord, Probe, Reading, Request
from inferometer.study import Study

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REFERENCE = "#/definitions/{name}"
"""Draft 4's place; to 2020-12 it is a path like any other."""
FILES: Mapping[str, Mapping[str, type[msgspec.Struct]]] = {
    "study": {"study.toml": Study},
    "cost": {"cost.toml": Scenario},
    "price-book": {"prices.toml": Book},
    "results": {
        "report/report.json": Comparison,
        "plan.json": Plan,
        "launches/ID/launch.json": LaunchRecord,
        "a line of launches/ID/requests.jsonl": Request,
        "a line of launches/ID/readings.jsonl": Reading,
        "a line of launches/ID/conditions.jsonl": Condition,
        "a line of launches/ID/probes.jsonl": Probe,
    },
}
"""By name of the schema: the files that it is of, with the types that parse them."""
WRITTEN = ("study", "cost", "price-book")
"""Those of files that a person writes, in TOML: which has no null, and no key may be unknown."""


def of(name: str) -> dict[str, Any]:
    """Return the schema ``name``, a key of :data:`FILES`."""
    files = FILES[name]
    types = tuple(files.values())
    roots, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    classes = {struct.__name__: struct for each in types for struct in _structs(each)}
    definitions = {}
    for key, made in sorted(components.items()):
        definition = _both(made, toml=name in WRITTEN)
        _describe(definition, classes.get(key))
        if name in WRITTEN and "properties" in definition:
            definition["additionalProperties"] = False
        definitions[key] = definition
    said: dict[str, Any] = {"title": f"Inferometer: {name}"}
    if len(files) == 1:
        said |= {"allOf": list(roots)}
    else:
        named = zip(files, roots, strict=True)
        said |= {"anyOf": [{"title": file, "allOf": [root]} for file, root in named]}
    return {**said, "definitions": definitions}


def text(name: str) -> str:
    """Return the schema as the text of a file."""
    return json.dumps(of(name), indent=1, ensure_ascii=False) + "\n"


def _both(value: Any, *, toml: bool) -> Any:
    """Return a part of a schema in words of both drafts; of TOML without nulls."""
    if isinstance(value, list):
        return [_both(each, toml=toml) for each in value]
    if not isinstance(value, dict):
        return value
    said = {key: _both(item, toml=toml) for key, item in value.items() if key != "default"}
    default = value.get("default")
    if default is not None and not (toml and isinstance(default, dict)):
        said["default"] = default  # of a table: its keys have their own
    _reword(said)
    if toml and "anyOf" in said:
        given = [each for each in said["anyOf"] if each != {"type": "null"}]
        said |= {"anyOf": given}
        if len(given) == 1:
            (only,) = said.pop("anyOf")
            said = {**only, **said}
    if "$ref" in said and len(said) > 1:  # draft 4 reads nothing beside a reference
        said["allOf"] = [{"$ref": said.pop("$ref")}]
    return said


def _reword(said: dict[str, Any]) -> None:
    """Say in place what one of the drafts says otherwise."""
    outside = []
    for bound, word in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if word in said:
            said[bound] = said.pop(word)
            outside.append(said[bound])
    if outside:
        said["not"] = {"enum": outside}
    if "const" in said:
        said["enum"] = [said.pop("const")]
    if "prefixItems" in said:
        said["items"] = {"anyOf": said.pop("prefixItems")}
    if not said.get("required", [True]):
        del said["required"]
    said.pop("discriminator", None)
    if "pattern" in said:
        said["pattern"] = said["pattern"].replace(r"\Z", "$")


def _describe(definition: dict[str, Any], struct: type[msgspec.Struct] | None) -> None:
    """Put the words of a struct and its fields into its definition."""
    if struct is None:
        return
    if struct.__doc__:
        definition["description"] = _plain(inspect.cleandoc(struct.__doc__))
    said = dict(_field_words(struct))
    for name, place in definition.get("properties", {}).items():
        if name in said:
            if set(place) == {"$ref"}:
                place["allOf"] = [{"$ref": place.pop("$ref")}]
            place["description"] = said[name]


def _field_words(struct: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """Yield what stands below the fields of a struct, in its source."""
    for base in reversed(struct.__mro__):
        if not issubclass(base, msgspec.Struct) or base is msgspec.Struct:
            continue
        try:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, SyntaxError):  # installed without its source
            continue
        assert isinstance(tree, ast.ClassDef)
        for field, below in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                yield (
                    ast.unparse(field.target),
                    _plain(inspect.cleandoc(ast.literal_eval(below.value))),
                )


def _plain(words: str) -> str:
    words = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", words).replace("``", "`")
    return " ".join(words.split())


def _structs(type_: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """Return a struct and all that stand in it."""
    found: dict[type, None] = {}

    def walk(info: Any) -> None:
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                return
            found[info.cls] = None
            parts: Sequence[Any] = [field.type for field in info.fields]
        else:
            names = ("type", "types", "item_type", "item_types", "key_type", "value_type")
            parts = [getattr(info, name) for name in names if hasattr(info, name)]
        for part in parts:
            for each in part if isinstance(part, tuple | list) else (part,):
                if isinstance(each, msgspec.inspect.Type):
                    walk(each)

    walk(msgspec.inspect.type_info(type_))
    return list(found)
