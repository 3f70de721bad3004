"""The key of one launch: new each time, on no command line, in no record, gone in the end."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from msgspec import UNSET, UnsetType

from inferometer import keys, redact, withheld
from inferometer.engine import ApiKey, Command
from inferometer.withheld import HIDDEN

COMMAND = Command(argv=("serve", "--port", "1"), env={"A": "b"})
VARIABLE = ApiKey(variable="ENGINE_API_KEY")
SLOW = ApiKey(variable="ENGINE_API_KEY", slows="each event")
FILE = ApiKey(flag="--config", file="key.yaml", text='api-key: "{}"\n')


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withheld, "_known", {})
    monkeypatch.delenv("ENGINE_API_KEY", raising=False)


def test_a_key_goes_by_variable_and_is_known_as_a_secret(tmp_path: Path) -> None:
    with keys.keyed(COMMAND, VARIABLE, tmp_path) as made:
        key = made.command.env["ENGINE_API_KEY"]
        assert made.command.argv == COMMAND.argv
        assert made.headers == {"authorization": f"Bearer {key}"}
        assert withheld.known() == (key,)
        assert key not in repr(made)
    with keys.keyed(COMMAND, VARIABLE, tmp_path) as again:
        assert again.command.env["ENGINE_API_KEY"] != key
    assert "ENGINE_API_KEY" not in COMMAND.env
    assert redact.text(f"left of {key} by its shape") == f"left of {HIDDEN} by its shape"


def test_a_key_goes_by_file_for_its_owner_alone(tmp_path: Path) -> None:
    with keys.keyed(COMMAND, FILE, tmp_path) as made:
        *same, flag, name = made.command.argv
        key = made.headers["authorization"].removeprefix("Bearer ")
        assert (tuple(same), flag) == (COMMAND.argv, "--config")
        assert Path(name).read_text() == f'api-key: "{key}"\n'
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(name).parent.stat().st_mode) == 0o700
        assert made.folder == Path(name).parent
        assert key not in " ".join(made.command.argv)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("--config", "mine.yaml"), ("--config=mine.yaml",)])
def test_the_study_s_own_file_of_settings_stays(words: tuple[str, ...], tmp_path: Path) -> None:
    command = Command(argv=("serve", *words))
    with keys.keyed(command, FILE, tmp_path) as made:
        assert (made.command, made.headers) == (command, {})


def test_a_key_that_the_study_hands_on_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_API_KEY", "my-own-key")
    with keys.keyed(COMMAND, VARIABLE, tmp_path, ["ENGINE_API_KEY"]) as made:
        assert (made.command, made.headers) == (COMMAND, {"authorization": "Bearer my-own-key"})
    with keys.keyed(COMMAND, VARIABLE, tmp_path) as made:  # not handed on
        assert made.headers != {"authorization": "Bearer my-own-key"}


def test_an_engine_that_takes_none_has_none(tmp_path: Path) -> None:
    with keys.keyed(COMMAND, None, tmp_path) as made:
        assert (made.command, made.headers, made.folder) == (COMMAND, {}, None)


def test_keys_of_launches_that_are_over_are_forgotten(tmp_path: Path) -> None:
    withheld.learn(["stays-for-ever"])
    with withheld.lately(), keys.keyed(COMMAND, VARIABLE, tmp_path):
        assert len(withheld.known()) == 2
    assert withheld.known() == ("stays-for-ever",)


@pytest.mark.parametrize(
    ("how", "asked", "given"),
    [
        *((VARIABLE, UNSET, True), (VARIABLE, True, True), (VARIABLE, False, False)),
        *((SLOW, UNSET, False), (SLOW, True, True), (None, True, False)),
    ],
)
def test_a_key_that_costs_time_is_given_only_where_the_study_says_so(
    how: ApiKey | None, asked: bool | UnsetType, given: bool
) -> None:
    assert (keys.wanted(how, asked) is not None) is given
