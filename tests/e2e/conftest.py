"""What studies of the oracle share: models, and a cache of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.measuring import undisturbed

from inferometer.testing.engine import write_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """A folder with the models ``dense`` and ``moe``."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "dense", tokenizer.read_text())
    write_model(folder / "moe", tokenizer.read_text(), experts=4)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache for one test."""
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge as on a machine on which nothing else runs, whatever runs beside this test."""
    undisturbed(monkeypatch)
