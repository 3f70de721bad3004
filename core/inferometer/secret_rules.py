"""What a study may not hold, because results keep it and reports show it: a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferometer import problems, redact
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ADVICE = "looks like a secret; name its variable in pass_env, its value is never stored"


def find(
    document: dict[str, Any], engines: Sequence[tuple[str, dict[str, Any]]]
) -> Iterator[problems.Problem]:
    """Find secrets by the names of settings, by their shape, and those that we know."""
    found = dict(_named(engines))
    yield from found.items()
    yield from ((key, ADVICE) for key in _shaped(document) if key not in found)


def _shaped(value: Any, key: str = "") -> Iterator[str]:
    """Yield the key of each text that holds a secret: the study is stored as it is, and shown."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _shaped(item, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _shaped(item, f"{key}[{index}]")
    elif isinstance(value, str) and redact.text(value) != value:
        yield key


def refuse_comments(text: str, name: str) -> None:
    """Refuse a study with a secret in a comment, or one that it hands on in any line.

    Results keep the file as it is, and a plan of which parts are hidden cannot be read again.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if redact.certain(line) != line:
            raise UsageError(
                f"{name}: line {number} looks like it holds a secret, and results keep the file",
                hint="Delete it there; name variables of secrets in pass_env or api_key_env.",
            )


def _named(engines: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[problems.Problem]:
    for place, entry in engines:
        variables = entry.get("extra_env")
        for name, value in variables.items() if isinstance(variables, dict) else ():
            if redact.looks_secret(name, str(value)):
                yield f"{place}.extra_env.{name}", ADVICE
        for key in ("extra_args", "container_args"):
            flags = entry.get(key)
            for index, flag in enumerate(flags if isinstance(flags, list) else ()):
                names = _names(str(flag), variables=key == "container_args")
                if any(redact.looks_secret(name, str(flag)) for name in (*names, "")):
                    yield f"{place}.{key}[{index}]", ADVICE
        if redact.looks_secret("", str(entry.get("api_key_env", ""))):
            yield f"{place}.api_key_env", "is a key itself; give the name of its variable"


def _names(flag: str, *, variables: bool) -> list[str]:
    """Return the names in ``--name=value``, and with ``variables`` in ``--env=NAME=value``."""
    parts = flag.split("=")
    return [
        part
        for part, is_last in zip(parts, [False] * (len(parts) - 1) + [True], strict=True)
        if part.startswith("-") or (variables and not is_last)
    ]
