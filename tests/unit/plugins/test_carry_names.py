"""What a store calls its files chooses no place on our disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inferometer_plugins.executors import carry


class Hostile:
    """A file system of a stranger's, whose listings hold whatever they like."""

    def __init__(self, listed: list[str]) -> None:
        self.listed = listed

    def invalidate_cache(self) -> None:
        """Nothing is kept."""

    def ls(self, place: str, *, detail: bool) -> list[str]:
        del detail
        return [f"{place}/{name}" for name in self.listed]

    def get_file(self, source: str, target: str) -> None:
        Path(target).write_text(source)


LISTED = ["launch.json", "..", "../../escape", "/etc/passwd", "a/../../b", "nul\0byte", "..."]


def test_names_of_a_store_are_names() -> None:
    made: Any = Hostile(LISTED)
    assert carry.names(made, "store/order") == ["b", "escape", "launch.json", "passwd"]


def test_a_launch_is_brought_into_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "opened", lambda _store: (Hostile(LISTED), "base"))
    folder = carry.home("made-up://", "order-1", tmp_path / "into")
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {
        Path("into/order-1") / name for name in ("b", "escape", "launch.json", "passwd")
    }
    assert folder == tmp_path / "into" / "order-1"
