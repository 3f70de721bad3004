"""Every disagreement between decoded data and a struct type, by key path.

msgspec's own decoder stops at the first error; a person correcting a file wants the whole list.
The types are read with :mod:`msgspec.inspect`, so a rule is written once: in the struct.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import inspect

from inferometer.errors import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Problem = tuple[str, str]
"""Key path (``engines[1].dtype``) and what is wrong there."""

WORDS: dict[type[inspect.Type], str] = {
    inspect.StructType: "a table",
    inspect.DictType: "a table",
    inspect.VarTupleType: "an array",
    inspect.TupleType: "an array",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.StrType: "text in quotes",
}


def find(value: object, type_: type) -> list[Problem]:
    """Return what keeps ``value`` (decoded TOML or JSON) from being a ``type_``."""
    return list(_walk(value, _type_info(type_), ""))


@cache
def _type_info(type_: type) -> inspect.Type:
    return inspect.type_info(type_)  # 15 ms for a study


def in_file_order(problems: Iterable[Problem], document: dict[str, Any]) -> list[Problem]:
    """Sort by where each key, or the table that lacks it, stands in ``document``."""
    places = {key: place for place, key in enumerate(_keys(document, ""))}

    def place(problem: Problem) -> int:
        key = problem[0]
        while key and key not in places:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return places.get(key, -1)

    return sorted(problems, key=place)


def shown(value: object) -> str:
    """Return a value as a file would write it, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def finite(number: float) -> bool:
    """Say whether a number is neither NaN, nor infinite, nor a whole one beyond every float."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _walk(value: object, type_: inspect.Type, key: str) -> Iterator[Problem]:
    match type_:
        case inspect.AnyType():
            return
        case inspect.UnionType(types=types):
            # TOML has no null: an optional key is given or left out.
            given = [t for t in types if not isinstance(t, inspect.NoneType)]
            like = [t for t in given if _shape(t) is _shape_of(value)]
            chosen = (like or given)[0]
            others = [t for t in given if t is not chosen]
            for place, text in _walk(value, chosen, key):
                word = isinstance(chosen, inspect.LiteralType) and others
                yield place, f"{text} (or {_word(others[0])})" if word else text
        case inspect.StructType() if isinstance(value, dict):
            yield from _struct(value, type_, key)
        case inspect.DictType(key_type=name_type, value_type=inner) if isinstance(value, dict):
            for name, item in value.items():
                yield from _walk(name, name_type, _join(key, name))
                yield from _walk(item, inner, _join(key, name))
        case inspect.VarTupleType() if isinstance(value, list):
            yield from _array(value, type_, key)
        case inspect.TupleType(item_types=types) if isinstance(value, list):
            yield from _row(value, types, key)
        case _:
            yield from _scalar(value, type_, key)


def _array(value: list[Any], type_: inspect.VarTupleType, key: str) -> Iterator[Problem]:
    if len(value) < (type_.min_length or 0):
        yield key, f"needs at least {type_.min_length} entry"
    for index, item in enumerate(value):
        yield from _walk(item, type_.item_type, f"{key}[{index}]")


def _row(value: list[Any], types: tuple[inspect.Type, ...], key: str) -> Iterator[Problem]:
    if len(value) != len(types):
        yield key, f"needs {len(types)} entries, has {len(value)}"
        return
    for index, (item, type_) in enumerate(zip(value, types, strict=True)):
        yield from _walk(item, type_, f"{key}[{index}]")


def _struct(value: dict[str, Any], type_: inspect.StructType, key: str) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in type_.fields}
    for name, item in value.items():
        if name in fields:
            yield from _walk(item, fields[name].type, _join(key, name))
            continue
        near = closest(name, fields)
        hint = f"did you mean {near!r}?" if near else f"known: {', '.join(fields)}"
        yield _join(key, name), f"unknown key; {hint}"
    for name, field in fields.items():
        if field.required and name not in value:
            yield _join(key, name), f"missing: {_word(field.type)} is needed"


def _scalar(value: object, type_: inspect.Type, key: str) -> Iterator[Problem]:
    allowed = ""
    if isinstance(type_, inspect.Metadata):
        allowed = (type_.extra_json_schema or {}).get("description", "")
        type_ = type_.type
    if isinstance(type_, inspect.LiteralType):
        if not any(type(value) is type(known) and value == known for known in type_.values):
            yield key, _choice(value, [str(known) for known in type_.values])
    elif not _fits(value, type_):
        wanted = _word(type_)
        if isinstance(type_, inspect.VarTupleType) and isinstance(value, dict):
            wanted = f"an array of tables: write [[{key}]]"
        yield key, f"expected {wanted}, got {_kind(value)}"
    elif isinstance(type_, inspect.IntType | inspect.FloatType):
        yield from _bounds(value, type_, key)
    elif isinstance(type_, inspect.StrType):
        yield from _text(str(value), type_, key, allowed)


def _shape(type_: inspect.Type) -> type:
    """Return which of table, array and single value a type is of."""
    if isinstance(type_, inspect.Metadata):
        return _shape(type_.type)
    if isinstance(type_, inspect.StructType | inspect.DictType):
        return dict
    arrays = inspect.VarTupleType | inspect.TupleType | inspect.ListType
    return list if isinstance(type_, arrays) else str


def _shape_of(value: object) -> type:
    return next((known for known in (dict, list) if isinstance(value, known)), str)


def _text(value: str, type_: inspect.StrType, key: str, allowed: str) -> Iterator[Problem]:
    if type_.pattern is not None and not re.search(type_.pattern, value):
        yield key, f"{shown(value)} is not {allowed or f'of the form {type_.pattern}'}"
    if len(value) < (type_.min_length or 0):
        yield key, "must not be empty"


def _bounds(value: Any, type_: inspect.IntType | inspect.FloatType, key: str) -> Iterator[Problem]:
    if not finite(value):
        yield key, f"must be a finite number, is {shown(value)}"
    elif type_.ge is not None and value < type_.ge:
        yield key, f"must be at least {type_.ge:g}, is {value}"
    elif type_.gt is not None and value <= type_.gt:
        yield key, f"must be greater than {type_.gt:g}, is {value}"
    elif type_.le is not None and value > type_.le:
        yield key, f"must be at most {type_.le}, is {value}"
    elif type_.lt is not None and value >= type_.lt:
        yield key, f"must be less than {type_.lt:g}, is {value}"


def _fits(value: object, type_: inspect.Type) -> bool:
    match type_:
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.StrType():
            return isinstance(value, str)
    return False


def _choice(value: object, known: list[str]) -> str:
    near = closest(str(value), known)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"{shown(value)} is not one of {', '.join(known)}{hint}"


def _word(type_: inspect.Type) -> str:
    if isinstance(type_, inspect.Metadata):
        return _word(type_.type)
    if isinstance(type_, inspect.LiteralType):
        return f"one of {', '.join(str(value) for value in type_.values)}"
    return WORDS.get(type(type_), "another type")


def _kind(value: object) -> str:
    match value:
        case dict():
            return "a table"
        case list():
            return "an array"
        case bool() | int() | float() | str():
            return shown(value)
    return f"{type(value).__name__} {shown(value)}"


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _keys(value: object, key: str) -> Iterator[str]:
    if key:
        yield key
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _keys(item, _join(key, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _keys(item, f"{key}[{index}]")
