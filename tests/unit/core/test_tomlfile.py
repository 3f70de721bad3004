"""Lines of a TOML file's keys, against the plain way to find them."""

from __future__ import annotations

import time
import tomllib
from importlib.resources import files

import msgspec
import pytest

from inferometer import tomlfile
from inferometer.errors import UsageError

TRICKY = '''\
# comment
a = 1
b = [
  1,
[2, 3],
]
"d.e" = """
[not.a.table]
x = 1
"""
f = { g = [{ h = 1 }, { h = 2 }] }

[[t]]
id = "one"
  [t.sub]   # indented
  k = [
    { z = 1 },
  ]
  [[t.list]]
  v = 1
  [[t.list]]
  v = 2
[[t]]
id = "two"
[[t.list]]
v = 3
[u.w]
"q r" = 2026-11-22
[u]
last = true
'''


def plainly(text: str) -> dict[str, int]:
    """Parse the text up to each row."""
    found: dict[str, int] = {}
    rows = text.splitlines(keepends=True)
    whole = 0
    for count in range(1, len(rows) + 1):
        try:
            document = tomllib.loads("".join(rows[:count]))
        except tomllib.TOMLDecodeError:
            continue
        for key in tomlfile._paths(document, ""):
            found.setdefault(key, whole + 1)
        whole = count
    return found


def template(name: str) -> str:
    return (files("inferometer") / "templates" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [TRICKY, TRICKY.replace("\n", "\r\n"), "", template("study.toml"), template("cost.toml")],
    ids=["tricky", "crlf", "empty", "study", "cost"],
)
def test_each_key_has_the_line_on_which_it_begins(text: str) -> None:
    assert tomlfile.lines(text) == plainly(text)


def test_lines_of_the_tricky_file_by_eye() -> None:
    found = tomlfile.lines(TRICKY)
    keys = ["a", "b", "b[1][0]", "d.e", "f.g[1].h", "t[0].sub.k[0].z", "t[0].list[1].v"]
    assert [found[key] for key in keys] == [2, 3, 3, 7, 11, 16, 22]
    assert [found[key] for key in ["t[1].list[0].v", "u", "u.w.q r", "u.last"]] == [26, 27, 28, 30]


def test_a_thousand_tables_take_no_minute() -> None:
    text = "".join(f'[[t]]\nid = "{n}"\na = 1\nb = 2\nc = 3\n' for n in range(1000))
    begin = time.monotonic()
    assert tomlfile.lines(text)["t[999].c"] == 5000
    assert time.monotonic() - begin < 10


def test_a_table_of_ten_thousand_keys_takes_no_minute() -> None:
    text = "".join(f"a{n} = {n}\n" for n in range(10_000))
    begin = time.monotonic()
    assert tomlfile.lines(text)["a9999"] == 10_000
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 3000 + "]" * 3000], ids=["digits", "nesting"])
def test_what_the_parser_itself_gives_up_on_is_an_error_of_the_file(value: str) -> None:
    class Any(msgspec.Struct):
        a: object = None

    with pytest.raises(UsageError, match=r"book\.toml: cannot be read as TOML") as caught:
        tomlfile.parse(f"a = {value}\n", "book.toml", Any)
    assert caught.value.hint
