"""Secrets known by value, in every form that an engine or a plugin may repeat them in."""

from __future__ import annotations

import base64
import html
import io
import json
import shlex
import sys
import threading
from pathlib import Path
from typing import Literal
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer import ondisk, redact, store, withheld

SECRET = 'pl4nt/ed+key="7 x\\y'
"""Of letters that every escaping changes."""
AROUND = st.binary(max_size=9)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withheld, "_known", {})
    withheld.learn([SECRET])


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        json.dumps(SECRET),
        repr(SECRET),
        html.escape(SECRET),
        shlex.quote(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        SECRET.encode().hex(),
        base64.urlsafe_b64encode(f"user:{SECRET}".encode()).decode(),
    ],
)
def test_a_known_secret_is_hidden_however_it_is_written(written: str) -> None:
    said = withheld.hide(f"before {written} after")
    assert said.startswith("before ")
    assert said.endswith(" after")
    assert withheld.HIDDEN in said
    assert SECRET not in said
    assert written not in said


@given(AROUND, AROUND)
def test_base64_of_anything_around_it_is_hidden(before: bytes, after: bytes) -> None:
    said = withheld.hide(base64.b64encode(before + SECRET.encode() + after).decode())
    assert withheld.HIDDEN in said
    left = said.replace(withheld.HIDDEN, "")
    assert len(left) <= len(base64.b64encode(before + after)) + 8


def test_what_is_short_or_an_ordinary_word_is_not_taken_from_our_environment() -> None:
    withheld.learn_variables(
        {
            "HF_TOKEN": "hf_planted0123456789",
            "DB_PASSWORD": "password",
            "API_KEY": "short",
            "A_TOKEN": "12345678901",
            "PIP_INDEX_URL": "https://me:p%40ss-w0rd@index.invalid/simple",
            "HTTPS_PROXY": "http://t0ken-alone@proxy.invalid",
            "DOCKER_HOST": "ssh://developer1@gpu-host",
            "BACKUP": "ssh://me:ssh-p4ssword@host.invalid",
            "PATH": "/usr/bin:/usr/local/bin",
            "MAX_TOKENS": "4096-and-more",
        }
    )
    assert set(withheld.known()) == {
        *(SECRET, "hf_planted0123456789", "p%40ss-w0rd", "p@ss-w0rd", "me:p%40ss-w0rd"),
        *("t0ken-alone", "ssh-p4ssword", "me:ssh-p4ssword"),
    }


def test_what_a_study_hands_on_and_is_no_secret_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ordinary = {
        "USER": "developer1",
        "VLLM_ATTENTION_BACKEND": "FLASH_ATTN",
        "CUDA_VISIBLE_DEVICES": "GPU-8f3a6c1e-0001-4d2b,GPU-8f3a6c1e-0002-4d2b",
        "RANKS": "0,1,2,3,4,5,6,7,8,9,10,11",
        "LEVEL": "verbose-logging",
    }
    secret = {
        "HUB_LOGIN": "no-usual-shape-42",
        "PASSPHRASE": "correcthorse",
        "DB_PASSWORD": "developer1",
        "LONG": "correct-horse-battery-staple",
    }
    for name, value in {**ordinary, **secret, "HOME": "/home/developer1"}.items():
        monkeypatch.setenv(name, value)
    assert [name for name in (*ordinary, *secret) if withheld.opens(name)] == [*secret]


def test_what_is_stored_is_held_against_all_of_them(tmp_path: Path) -> None:
    rows = [{"error": f"401 for {SECRET}", "n": 7}, {"error": "none", SECRET: 1}]
    store.append_lines(tmp_path / "rows.jsonl", rows)
    text = (tmp_path / "rows.jsonl").read_text()
    assert [json.loads(line) for line in text.splitlines()] == [
        {"error": "401 for [hidden]", "n": 7},
        {"error": "none", "[hidden]": 1},
    ]
    assert json.loads(store.encode({"a": [SECRET], "t_ns": 12})) == {"a": ["[hidden]"], "t_ns": 12}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    n: int
    word: str | None = None
    status: Literal["ok", "error"] = "ok"
    nested: dict[str, list[str]] = {}
    own_sha256: str = "0" * 64


def test_lines_without_one_are_the_same_bytes_and_those_with_one_lose_it_alone() -> None:
    clean = [Row(n=n, word=word) for n, word in enumerate((None, "stop", "a\u2028b", "\x00"))]
    plain = b"".join(msgspec.json.encode(row) + b"\n" for row in clean)
    assert ondisk.encode_lines(iter(clean)) == plain
    assert ondisk.encode_lines([]) == b""
    for leaking in (
        Row(n=4, word=f"401 for {SECRET}"),
        Row(n=4, nested={"said": ["a", quote(SECRET)]}),
        Row(n=4, nested={SECRET: []}),
    ):
        said = ondisk.encode_lines([*clean, leaking, {"n": 5}])
        assert ondisk.encode_lines([*clean, leaking]) + b'{"n":5}\n' == said
        assert said.startswith(plain)
        assert not withheld.holds(said)
        assert b"[hidden]" in said


def test_a_log_is_cleaned_whole_and_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\ndef\n-----END RSA PRIVATE KEY-----"
    log = tmp_path / "server.log"
    content = b"a\xff\r\n" + f"{SECRET}\n{key}\nServerArgs(api_key='abcdef-1', n=2)\n".encode()
    log.write_bytes(content + b"loaded 12 tokens\n")
    redact.log(log)
    assert log.read_bytes() == (
        b"a\xff\r\n[hidden]\n[hidden]\nServerArgs(api_key='[hidden]', n=2)\nloaded 12 tokens\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["server.log"]


def test_a_key_over_two_blocks_of_a_log_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redact, "BLOCK", 1 << 10)
    lines = [f"MIIE{number:04}{'x' * 56}" for number in range(40)]
    key = ["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----"]
    (tmp_path / "server.log").write_text("\n".join(["." * 900, *key, "after", ""]))
    redact.log(tmp_path / "server.log")
    said = (tmp_path / "server.log").read_text()
    assert "MIIE" not in said
    assert said.endswith("after\n")


@pytest.mark.parametrize(
    "shape",
    [
        "hf_abcdefghijklmnopqrst",
        "sk-proj-abcdefghijklmnop",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijkl",
        "xoxb-123456789012-abcdef",
        "glpat-abcdefghijklmnopqrst",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "ifm_abcdefghijklmnopqrstuvwxyz0123456789_-ABCDE",
        "Bearer abc.def",
    ],
)
def test_unknown_secrets_are_hidden_by_shape(shape: str) -> None:
    for said in (f"x {shape} y", f'"{shape}"', f"key={shape}, n=1"):
        hidden = redact.text(said)
        assert shape not in hidden
        assert redact.text(hidden) == hidden  # looked at twice, it is the same
    assert redact.text(f'{{"a": "{shape}"}}') == '{"a": "[hidden]"}'


def test_a_user_in_a_url_is_hidden_and_the_url_is_not() -> None:
    said = redact.text("GET https://me:secret@host.invalid/a?b=1 failed")
    assert said == "GET https://[hidden]@host.invalid/a?b=1 failed"


def test_ordinary_settings_are_left_alone() -> None:
    for said in (
        *("max_tokens: 4096", "eos_token='<|im_end|>'", "api_key=None", "api_key: null"),
        *("git+ssh://git@host.invalid/a", "see https://host.invalid/@user"),
        *("risk-free-and-long-enough-words", "--tokenizer /models/a", "password=''"),
    ):
        assert redact.text(said) == said


def test_nothing_printed_holds_one_whoever_prints_it(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)

    def fails() -> None:
        raise ValueError(SECRET)

    with redact.guarded():
        print("a", SECRET)  # noqa: T201 -- as a plugin might
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()
    assert out.getvalue() == "a [hidden]\n"
    assert "ValueError: [hidden]" in err.getvalue()
    assert SECRET not in err.getvalue()
    assert sys.stdout is out
