"""What the tests of the catalogue share: a model, and one test a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inferometer.testing.engine import write_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """A folder with the model ``dense``."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "dense", tokenizer.read_text())
    return folder
