"""The languages of the reports: one catalogue a language, ``<code>.toml`` beside this file.

TOML rather than Python or ``.po``: a translator needs no tool and no code, and the standard library
reads it. It is read when a report in that language is written, once a process.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from inferometer.language import ENGLISH, Language

LANGUAGES = ("en", "id")
THIN = "\u202f"
"""Sets thousands apart in every language: 1,234 and 1.234 are read in two ways."""


@cache
def load(code: str) -> Language:
    """Return a language of :data:`LANGUAGES`, with the marks of a report.

    Raises:
        ValueError: there is no catalogue of it.
    """
    if code == ENGLISH.code:
        return ENGLISH._replace(group=THIN)
    if code not in LANGUAGES:
        raise ValueError(f"no catalogue of language {code!r}; there are {', '.join(LANGUAGES)}")
    tables = tomllib.loads(files(__package__).joinpath(f"{code}.toml").read_text("utf-8"))
    marks = tables.pop("language")
    templates = {key: text for table in tables.values() for key, text in table.items()}
    return Language(code, templates, marks["decimal"], marks["group"])
