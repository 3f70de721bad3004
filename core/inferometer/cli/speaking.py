"""``--lang``: the language of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inferometer.language import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.renderer import Renderer

lang = click.option(
    "--lang",
    default=ENGLISH.code,
    show_default=True,
    metavar="CODE",
    help="Language of the report's words: en, id.",
)


def in_language(
    renderers: Mapping[str, Renderer], language: str, formats: str | None
) -> dict[str, Renderer]:
    """Return the renderers that write in ``language``; say which are left out.

    Raises:
        UsageError: nobody does, or one of the formats that were asked for by name does not.
    """
    if language == ENGLISH.code:
        return dict(renderers)
    check(renderers, language)
    able = {
        name: one_in(name, one, language)
        for name, one in renderers.items()
        if formats is not None or _writes(one, language)
    }
    for name in sorted(renderers.keys() - able.keys()):
        click.echo(f"left out: report format {name} does not write in {language}", err=True)
    return able


def one_in(name: str, renderer: Renderer, language: str) -> Renderer:
    """Return the renderer called ``name``, writing in ``language``.

    Raises:
        UsageError: it does not write in it.
    """
    from inferometer.errors import UsageError
    from inferometer.renderer import LanguageRenderer

    if language == ENGLISH.code:
        return renderer
    if isinstance(renderer, LanguageRenderer) and language in renderer.languages:
        return renderer.in_language(language)
    raise UsageError(
        f"report format {name!r} does not write in language {language!r}",
        hint="Leave --lang out, or do not ask for this format.",
    )


def _writes(renderer: Renderer, language: str) -> bool:
    from inferometer.renderer import LanguageRenderer

    return isinstance(renderer, LanguageRenderer) and language in renderer.languages


def check(renderers: Mapping[str, Renderer], language: str) -> None:
    """Refuse a language in which no renderer writes.

    Raises:
        UsageError: names the languages there are.
    """
    from inferometer.errors import UsageError
    from inferometer.renderer import LanguageRenderer

    spoken = {ENGLISH.code}
    for one in renderers.values():
        if isinstance(one, LanguageRenderer):
            spoken.update(one.languages)
    if language not in spoken:
        raise UsageError.unknown("language", language, spoken, place="--lang")
