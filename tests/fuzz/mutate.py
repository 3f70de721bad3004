"""Change an input a little, as a damaged, hostile or merely other file would differ.

Half of the changes are of bytes, half of the document that the bytes are: a JSON or TOML value
stays one, so that what lies behind the parser is reached, too. Everything follows from the random
generator that is given.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

Form = Literal["json", "lines", "toml", "text", "bytes"]
"""``lines``: one JSON value a line. ``text``: neither JSON nor TOML, but words and numbers."""

NUMBERS = [
    *(b"0", b"-1", b"1", b"2", b"-0.0", b"0.1", b"1e-320", b"1e308", b"-1e308", b"1e999"),
    *(b"255", b"65536", b"2147483648", b"-2147483649", b"4294967295", b"9007199254740993"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809"),
    *(b"18446744073709551615", b"18446744073709551616", b"1" + b"0" * 400, b"9" * 5000),
    *(b"NaN", b"nan", b"inf", b"-Infinity", b"true", b"null", b"01", b"1_000", b"0x10"),
]
TEXTS = [
    *(
        "",
        " ",
        "\0",
        "\n",
        "\r\n",
        "\x1b[31m",
        "a\tb",
        "../..",
        "/etc/passwd",
        "=cmd|x",
        "<script>",
    ),
    *("\x7f", "\u2028", "\ufeff", "\u202e", "é", "\U0001f600", "١٢", "²", "9" * 5000, "x" * 3000),
    *("nan", "1e999", "2026-02-30", "0000-00-00", "9999-12-31T23:59:59.9999999Z", "None", "{}"),
    *('"', "'", "\\", "%s%n", "{0}", "a" * 64 + "/", "con", "-", "--x", "a.b.c", "[0]"),
]
BYTES = [
    *(b"\0", b"\n", b"\r\n", b"\n\n", b"\xff", b"\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"'),
    *(b"\\ud800", b"\\u0000", b"\\", b"{", b"}", b"[", b"]", b",", b":", b"=", b"#", b"data: "),
    *(b"[" * 3000, b'{"a":' * 1500, b"[" * 200_000, b"a = [", b'"""', b"[[", b"x" * 5000),
    *(b"ffffffffffffffff\r\n", b"0\r\n\r\n", b"\xff" * 8, b"\0" * 16, b"[DONE]"),
]
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')


def mutate(data: bytes, rng: Random, most: int, form: Form, others: Sequence[bytes]) -> bytes:
    """Return ``data``, changed in one to four places, at most ``most`` bytes long.

    ``others`` are inputs of which parts may be taken.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        if form in {"json", "lines", "toml"} and rng.random() < 0.5:
            changed = _of_tree(data, rng, form)
            data = _of_bytes(data, rng, others) if changed is None else changed
        else:
            data = _of_bytes(data, rng, others)
    return data[:most]


def _of_bytes(data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice((1, 1, 2, 4, 16, 64, 1024)))
    before, part, after = data[:at], data[at:end], data[end:]
    match rng.randrange(10):
        case 0 if part:
            part = bytes([part[0] ^ (1 << rng.randrange(8))]) + part[1:]
        case 1:
            part = b""
        case 2:
            part *= rng.choice((2, 3, 4, 100))
        case 3:
            part = rng.choice(BYTES)
        case 4:
            part = rng.choice(BYTES) + part
        case 5:
            return _replaced(data, rng, NUMBER, lambda: rng.choice(NUMBERS))
        case 6:
            return _replaced(data, rng, QUOTED, lambda: json.dumps(rng.choice(TEXTS)).encode())
        case 7:
            other = rng.choice(others) if others else b""
            start = rng.randrange(len(other) + 1)
            part = other[start : start + rng.choice((8, 64, 4096))]
        case 8:
            return before
        case _:
            marked, crlf = b"\xef\xbb\xbf" + data, data.replace(b"\n", b"\r\n")
            return rng.choice((marked, crlf, data[::-1], data + data))
    return before + part + after


def _replaced(
    data: bytes, rng: Random, pattern: re.Pattern[bytes], by: Callable[[], bytes]
) -> bytes:
    found = pattern.search(data, rng.randrange(len(data) + 1)) or pattern.search(data)
    return data if found is None else data[: found.start()] + by() + data[found.end() :]


def _of_tree(data: bytes, rng: Random, form: Form) -> bytes | None:
    """Return ``data`` with its value changed; None where it is no value."""
    try:
        if form == "toml":
            return written(_changed(tomllib.loads(data.decode()), rng)).encode()
        if form == "json":
            return json.dumps(_changed(json.loads(data), rng)).encode()
        lines = data.split(b"\n")
        at = rng.randrange(len(lines))
        lines[at] = json.dumps(_changed(json.loads(lines[at]), rng)).encode()
        return b"\n".join(lines)
    except (ValueError, RecursionError, AttributeError, TypeError):
        return None


def _changed(value: Any, rng: Random) -> Any:
    """Return ``value`` with one part of it changed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        return _with(value, key, rng)
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        kind = rng.randrange(6)
        if kind == 0:
            return value[:at] + value[at + 1 :]
        if kind == 1:
            return value[:at] + [value[at]] * rng.choice((2, 3, 50)) + value[at:]
        return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
    return anything(value, rng)


def _with(value: dict[str, Any], key: str, rng: Random) -> dict[str, Any]:
    kind = rng.randrange(10)
    if kind == 0:
        return {name: item for name, item in value.items() if name != key}
    if kind == 1:
        return {**value, rng.choice(TEXTS): value[key]}
    if kind == 2:
        return {**value, key: value[rng.choice(list(value))]}
    return {**value, key: _changed(value[key], rng)}


def anything(value: Any, rng: Random) -> Any:
    """Return something else than ``value``: of its type or of another one."""
    kind = rng.randrange(8)
    if isinstance(value, int | float) and not isinstance(value, bool) and kind < 4:
        return rng.choice((-value, value + 1, value * 1000, 0, 1, -1, 2**31, 2**63, 2**64, 1e308))
    if isinstance(value, str) and kind < 3:
        return rng.choice((value + value, value[: len(value) // 2], value + rng.choice(TEXTS)))
    if kind == 4:
        return [value]
    if kind == 5:
        return {rng.choice(TEXTS): value}
    if kind == 6:
        return rng.choice((0, 1, -1, 0.5, 2**63, 10**30, 1e300, -1e300, True, False, None, [], {}))
    return rng.choice(TEXTS)


def written(document: dict[str, Any]) -> str:
    """Return a document as TOML; what has no form there (null) is left out."""
    lines = [f"{_key(k)} = {_value(v)}" for k, v in document.items() if not _is_table(v)]
    for name, value in document.items():
        if isinstance(value, dict):
            lines += [f"[{_key(name)}]", *_rows(value)]
        elif _is_table(value):
            for table in value:
                lines += [f"[[{_key(name)}]]", *_rows(table)]
    return "\n".join([*lines, ""])


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(it, dict) for it in value)
    )


def _rows(table: dict[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(_rows(value))} }}"
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value if item is not None)}]"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return value.isoformat() if hasattr(value, "isoformat") else '""'
