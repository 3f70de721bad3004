"""Lines that start a stack as a launch started it, ready to paste into a shell.

What only the measuring machine has stands in variables at the top, so that it can be changed in
one place; generated configuration is written by the lines themselves; what a secret was is not
known, so the command asks for it. Every other word is quoted: it is what the launch recorded, and
an engine's or a model's name may hold anything. Control characters go before words are quoted:
whatever is taken out afterwards may take a quote with it.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from inferometer import redact
from inferometer.comparison.starts import Start

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inferometer.records import LaunchRecord
    from inferometer.store import Store

PORT = 8000
"""Stands for whichever port a launch had."""
LONGEST = 88
"""Characters of a line, about: a flag that would go beyond begins another."""
MOST_BYTES = 1 << 20
"""Of one generated file: an adapter writes a page or two."""
UNSET = "its value is not stored; set it first"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FLAG = re.compile(r"[^A-Za-z0-9]+")
_FOREIGN = (
    *("stack", "model", "command", "environment"),
    *("environment_variables", "instrument_variables", "inherited_variables"),
)
"""Fields of a launch that are words of others."""


def starts(stores: Iterable[Store]) -> list[Start]:
    """Return how each stack was started on each model, by their names; each way once."""
    found: dict[tuple[str, str, str], Start] = {}
    for store in stores:
        for record in store.launches():
            if record.command:
                one = start(record, configuration(store, record))
                found.setdefault((one.stack, one.model, one.script), one)
    return sorted(found.values(), key=lambda one: (one.stack, one.model))


def configuration(store: Store, record: LaunchRecord) -> dict[str, str]:
    """Return the files that an engine's adapter made for a launch, by name; secrets are hidden.

    Results may come from elsewhere: neither a name nor a link in them leads out of their folder.
    """
    above = store.root / "configurations"
    folder = above / _name(record)
    try:
        linked = above.is_symlink() or folder.is_symlink()
        if folder.parent != above or linked or not folder.is_dir():
            return {}
    except (OSError, ValueError):  # a name that no folder can have
        return {}
    paths = [path for path in sorted(folder.iterdir()) if not path.is_symlink() and path.is_file()]
    return {
        path.name: redact.text(redact.plain(_text(path)))
        for path in paths
        if path.stat().st_size <= MOST_BYTES
    }


def start(record: LaunchRecord, files: Mapping[str, str]) -> Start:
    """Return how ``record``'s stack is started; ``files`` are its configuration."""
    record = replace(record, **{name: _printable(getattr(record, name)) for name in _FOREIGN})
    files = {redact.plain(name): redact.plain(text) for name, text in files.items()}
    own = _Words(record, files)
    lines = [f"{name}={value}" for name, value in own.assigned.items()]
    lines += [line for each in files.items() for line in _written(own.config, *each)]
    given = {**_inherited(record), **record.environment_variables}
    shown = {name: value for name, value in given.items() if NAME.fullmatch(name)}
    hidden = sorted(name for name, value in shown.items() if redact.HIDDEN in value)
    lines += [
        f"export {name}={own.quoted(value)}"
        for name, value in sorted(shown.items())
        if name not in hidden
    ]
    words = [f'{name}="${{{name}:?{UNSET}}}"' for name in hidden]
    words += [own.command(word) for word in command(record)]
    return Start(
        stack=_stack(record),
        model=_model(record),
        launch=record.id,
        script="\n".join([*lines, _broken(words)]),
        places=own.told,
        files=list(files),
        secrets=[*hidden, *own.secrets],
        notes=_notes(record, files),
    )


def command(record: LaunchRecord) -> list[str]:
    """Return the words of a launch's command at port 8000; secrets are hidden.

    The port is the one thing in which launches of one cell always differ.
    """
    own = "" if record.port is None else str(record.port)
    words = [
        f"{word[: -len(own)]}{PORT}" if own and (word == own or word.endswith(f"={own}")) else word
        for word in record.command
    ]
    return redact.argv(words)


class _Words:
    """Quotes words; puts variables in the place of paths and of hidden values.

    ``assigned`` are the variables' values as the shell reads them, ``told`` what they are.
    """

    def __init__(self, record: LaunchRecord, files: Mapping[str, str]) -> None:
        self.assigned: dict[str, str] = {}
        self.told: dict[str, str] = {}
        self.secrets: list[str] = []
        self._paths: dict[str, str] = {}
        self._taken = {*record.environment_variables, *record.inherited_variables}
        self._flag = ""
        model, python = record.model.get("path"), record.environment.get("python")
        said = " ".join(record.command)
        if isinstance(model, str) and model in said:
            self._place("MODEL", model, f"the model {_model(record)}{_hash(record)}")
        engine = record.stack.get("engine")
        version = f"{engine} {record.stack.get('engine_version')}"
        if record.environment.get("kind") == "venv":
            version += f" (inferometer engines install {engine} builds one)"
        if isinstance(python, str) and python in record.command:
            self._place("PYTHON", python, f"an interpreter that has {version}")
        elif isinstance(python, str) and record.command[0].startswith(f"{Path(python).parent}/"):
            self._place("BIN", str(Path(python).parent), f"the programs of {version}")
        seen = f"{said} {' '.join(record.environment_variables.values())}"
        folder = re.search(rf"/[^\s,=\"']*/configurations/{re.escape(_name(record))}", seen)
        self.config = self._free("CONFIG")
        if files:
            self.assigned[self.config] = f'"$PWD"/{shlex.quote(_name(record))}'
        if files and folder is not None:
            self._paths[folder[0]] = self.config

    def _place(self, name: str, path: str, what: str) -> None:
        name = self._free(name)
        self._paths[path] = name
        self.assigned[name] = shlex.quote(path)
        self.told[name] = redact.plain(what)

    def _free(self, name: str) -> str:
        """Return a name that no variable of the launch has: exporting it would change the place."""
        while name in self._taken:
            name += "_"
        return name

    def command(self, word: str) -> str:
        """Return one word of the command, which may follow the flag that it is the value of."""
        flag, equals, _ = word.partition("=")
        shown = self.quoted(word, self._secret(flag if equals else self._flag))
        self._flag = word if word.startswith("-") and not equals else ""
        return shown

    def _secret(self, flag: str) -> str:
        name = FLAG.sub("_", flag).strip("_").upper()
        return name if NAME.fullmatch(name) else f"SECRET_{name}".rstrip("_")

    def quoted(self, text: str, secret: str = "SECRET") -> str:  # noqa: S107 -- a variable's name
        """Return ``text`` as the shell gives it back, with variables where they belong."""
        longest = sorted(self._paths, key=len, reverse=True)
        known = [re.escape(path) + r"(?![\w.-])" for path in longest]
        parts = re.split(f"({'|'.join([*known, re.escape(redact.HIDDEN)])})", text)
        shown = []
        for part in parts:
            if part in self._paths:
                shown.append(f'"${self._paths[part]}"')
            elif part == redact.HIDDEN:
                if secret not in self.secrets:
                    self.secrets.append(secret)
                shown.append(f'"${{{secret}:?{UNSET}}}"')
            elif part:
                shown.append(shlex.quote(part))
        return "".join(shown) or "''"


def _printable(value: Any) -> Any:
    """Return a JSON value whose texts have no control characters."""
    if isinstance(value, dict):
        return {redact.plain(str(key)): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return redact.plain(value) if isinstance(value, str) else value


def _name(record: LaunchRecord) -> str:
    return f"{_stack(record)}-{_model(record)}"


def _stack(record: LaunchRecord) -> str:
    return str(record.stack.get("id") or record.stack.get("engine") or "unknown")


def _model(record: LaunchRecord) -> str:
    return str(record.model.get("name") or "unknown")


def _hash(record: LaunchRecord) -> str:
    known = record.model.get("sha256")
    return f" (SHA-256 {str(known)[:12]})" if known else ""


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _inherited(record: LaunchRecord) -> dict[str, str]:
    """Return what our environment handed on that is not of this machine alone."""
    return {k: v for k, v in record.inherited_variables.items() if k != "LD_LIBRARY_PATH"}


def _written(folder: str, name: str, text: str) -> list[str]:
    """Return the lines that write one file below the folder in the variable ``folder``."""
    lines, end = text.removesuffix("\n").split("\n"), "END"
    while end in lines:
        end += "_"
    path = f'"${folder}"/{shlex.quote(name)}'
    return [f"mkdir -p \"${folder}\" && cat > {path} <<'{end}'", *lines, end]


def _broken(words: Iterable[str]) -> str:
    """Return the words as one command, broken into lines where it is long, before flags."""
    lines = [""]
    for word in words:
        if word.startswith("-") and len(lines[-1]) + len(word) >= LONGEST:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return " \\\n  ".join(lines)


def _notes(record: LaunchRecord, files: Mapping[str, str]) -> list[str]:
    notes = []
    if held := [name for name, text in files.items() if redact.HIDDEN in text]:
        notes.append(f"{', '.join(held)}: what looked like a secret is hidden; put yours in.")
    if record.environment.get("kind") == "container":
        notes.append(
            "The container sees folders of the measuring machine at their own paths, and runs as "
            "the user who measured; change --mount and --user elsewhere."
        )
    if path := record.inherited_variables.get("LD_LIBRARY_PATH"):
        notes.append(f"The engine saw LD_LIBRARY_PATH={redact.plain(path)}, which is left out.")
    if left := sorted(record.instrument_variables):
        names = redact.plain(", ".join(left))
        notes.append(f"Set for the measurement alone, and left out: {names}.")
    return notes
