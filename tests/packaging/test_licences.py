"""Every distribution that we need has a licence that lets everybody use, change and pass it on."""

from __future__ import annotations

import importlib.metadata
import re
from importlib.metadata import Distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ALLOWED = re.compile(
    r"\b(MIT|MIT-0|MIT-CMU|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public"
    r"|Zlib|Unlicense|CC0|HPND|BlueOak)\b|BSD-[23]-Clause|Apache-2\.0|PSF-2\.0|MPL-2\.0"
    r"|Python-2\.0|CNRI-Python|LicenseRef-scancode",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"\b(?:A?GPL|LGPL|SSPL|BUSL|Commons Clause)", re.IGNORECASE)
KNOWN = {"axe-playwright-python": "MIT", "docutils": "BSD-2-Clause, or in the public domain"}
"""Those whose metadata do not say it, with the licence that their own file has. docutils names the
GPL, too, for a mode of Emacs that is in no wheel of it."""


def needed() -> dict[str, Distribution]:
    """Return what is installed of our distribution's requirements, with every extra of it."""
    found: dict[str, Distribution] = {}
    extras = importlib.metadata.metadata("inferometer").get_all("Provides-Extra") or []
    waiting, seen = [("inferometer", extra) for extra in ["", *extras]], set[tuple[str, str]]()
    while waiting:
        name, extra = pair = waiting.pop()
        if pair in seen:
            continue
        seen.add(pair)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra, or of another platform
        found[name] = distribution
        for text in distribution.requires or []:
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(wanted.name), each) for each in ["", *wanted.extras]]
    return found


def licence(distribution: Distribution) -> str:
    """Return what its metadata say: an expression, classifiers, or a text."""
    metadata = distribution.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = metadata.get_all("Classifier") or []
    found = [each for each in classifiers if each.startswith("License ::")]
    return "; ".join(found) or ("License" in metadata and metadata["License"][:200]) or ""


NEEDED = needed()


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_each_licence_is_one_that_lets_us(name: str) -> None:
    said = KNOWN.get(name) or licence(NEEDED[name])
    assert ALLOWED.search(said), f"{name}: {said!r}"
    either = re.split(r"\s+OR\s+", said)
    assert not all(COPYLEFT.search(part) for part in either), f"{name}: {said!r}"


def test_the_list_is_no_short_one() -> None:
    assert {"click", "polars", "msgspec", "pytest", "ruff", "numpy"} <= NEEDED.keys()
    assert len(NEEDED) > 40
