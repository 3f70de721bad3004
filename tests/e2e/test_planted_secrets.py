"""Secrets planted in every place that they can come from, and none in anything that is left.

The engine, the server, the meter and the plugin of this study repeat what they know: in logs, in
answers, in errors, in exceptions and on our own standard output, as it is, escaped and encoded.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes

import polars as pl
import pytest
from tests.e2e import leaky
from tests.e2e.pipeline import text_of
from tests.studies import DECLARED

from inferometer import withheld
from inferometer.notebook import Results
from inferometer.ports import lease

KNOWN = {
    "PLANTED_HANDED": 'handed/planted+"key=0001',
    "SERVED_KEY": "served-planted-key-0002",
    "HF_TOKEN": "hf_plantedPlantedPlanted0003",
    "PIP_INDEX_URL": "https://me:index-planted-0004@index.invalid/simple",
    "HTTPS_PROXY": "http://proxy-planted-0005@proxy.invalid:3128",
    "REGISTRY_PASSWORD": "registry-planted-0006",
}
"""Those that stand in our environment, by name."""
SECRETS = {
    **KNOWN,
    "PIP_INDEX_URL": "index-planted-0004",
    "HTTPS_PROXY": "proxy-planted-0005",
    **leaky.SHAPED,
    "flag": "flag-planted-key-0007",
    "comment": "sk-planted-comment-0008",
    "url": "url-planted-0009",
}
"""By the place they are planted in; those of launches come on top."""
WORD = re.compile(rb"[A-Za-z0-9+/_-]{12,}")
HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){6,}")


def unfolded(content: bytes) -> bytes:
    """Return ``content`` with everything that is encoded in it decoded behind it."""
    found = [content, unquote_to_bytes(content)]
    found += [part for part in [content.replace(b"\\", b"")] if part != content]
    for word in WORD.findall(content):
        text = word.translate(bytes.maketrans(b"-_", b"+/"))
        found += [
            base64.b64decode(text[k:] + b"=" * (-len(text[k:]) % 4))
            for k in range(4)
            if len(text[k:]) % 4 != 1
        ]
    for word in HEX.findall(content):
        found.append(binascii.unhexlify(word))
    return b"\0".join(found)


def leaks(content: bytes, secrets: dict[str, str]) -> list[str]:
    """Return the places whose secret stands in ``content``, however it is written."""
    whole = unfolded(content)
    return [place for place, secret in secrets.items() if secret.encode() in whole]


def test_the_search_finds_what_is_planted() -> None:
    for place, secret in SECRETS.items():
        for written in (
            secret.encode(),
            json.dumps(secret).encode(),
            b"x" + base64.b64encode(f"u:{secret}".encode()) + b".",
            secret.encode().hex().encode(),
        ):
            assert place in leaks(b"before " + written + b" after", SECRETS), (place, written)


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    site = leaky.install(tmp_path / "site")
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **KNOWN,
        "PYTHONPATH": str(site),
        "INFEROMETER_CACHE": str(tmp_path / "cache"),
        "PLANTED_KEEP": str(tmp_path / "keys"),
        "TMPDIR": str(tmp_path),
    }


def command(variables: dict[str, str], *words: str) -> tuple[int, bytes]:
    """Run one command line; return its status and all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "inferometer", *words],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout


def study(models: Path, port: int) -> str:
    """Return a study of six stacks that leak, each in its own way."""
    own = {
        "name": "leaky",
        "python": sys.executable,
        "pass_env": ["PLANTED_HANDED", "PLANTED_KEEP"],
    }
    failing = ["--fault", "400", "--fault-every", "5"]
    return text_of(
        models,
        only="dense",
        engines=[
            {**own, "alias": "leaking", "extra_args": ["--itl-ms", "2", *failing]},
            {**own, "alias": "dying", "extra_args": [leaky.DIES]},
            {"name": "leaky-bare"},
            {
                "name": "leaky",
                "alias": "served",
                "url": f"http://127.0.0.1:{port}",
                "api_key_env": "SERVED_KEY",
            },
        ],
        meters=[DECLARED, {"name": "leaky-meter"}],
        rounds=2,
        probe=False,
    )


def test_no_planted_secret_is_in_any_artefact(
    model_files: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    results, heard = tmp_path / "results", []
    with lease("127.0.0.1") as port:
        path = tmp_path / "study.toml"
        path.write_text(study(model_files, port))
        theirs = {**variables, "ORACLE_API_KEY": KNOWN["SERVED_KEY"], "PLANTED_KEEP": ""}
        line = [sys.executable, "-P", leaky.__file__, "--port", str(port)]
        line += ["--model", str(model_files / "dense")]
        server = subprocess.Popen(line, env=theirs, stdout=subprocess.PIPE)
        try:
            assert server.stdout is not None
            while not server.stdout.readline().startswith(str(port).encode()):
                assert server.poll() is None
            ran, said = command(variables, "run", str(path), "--results", str(results))
        finally:
            server.terminate()
            server.communicate()
    heard.append(said)
    assert ran == 5, said.decode()  # dying and absent have nothing
    every = "html,md,json,text,csv,figures,openmetrics"
    for words in (
        ("status", str(results)),
        ("status", str(results), "--json"),
        ("report", str(results), "--format", every, "--out", str(tmp_path / "report")),
        ("launch", str(results), "leaking"),
        ("launch", str(results), "leaking", "--json"),
        ("compare", str(results), str(results), "--pair", "leaking=served"),
        ("plugins",),
        ("engines", "show", "leaky"),
    ):
        status, said = command(variables, *words)
        heard.append(said)
        assert status in {0, 4, 5}, (words, said.decode())
        assert said
    frames = Results.at(results)
    heard += [frames.frame(name).write_json().encode() for name in frames.tables]
    keys = (tmp_path / "keys").read_text().split()
    assert len(keys) == len(set(keys)) == 3  # two rounds, and one that died
    secrets = SECRETS | {f"launch {number}": key for number, key in enumerate(keys)}
    found = {f"output {number}": leaks(text, secrets) for number, text in enumerate(heard)}
    searched = [
        *results.rglob("*"),
        *(tmp_path / "report").rglob("*"),
        *tmp_path.glob("inferometer-bug*"),
    ]
    for path in (path for path in searched if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += pl.read_parquet(path).write_json().encode()
        found[str(path.relative_to(tmp_path))] = leaks(content, secrets)
    assert {place: leaked for place, leaked in found.items() if leaked} == {}
    logs = list(results.rglob("server.log"))
    assert len(logs) == 3
    assert all(withheld.HIDDEN in log.read_text() for log in logs)  # it did try
    assert len(found) > 40
    sys.stdout.write(f"{len(secrets)} secrets, {len(found)} files and outputs: none leaked\n")


@pytest.mark.parametrize(
    "planted",
    [
        f'extra_args = ["--hub-api-key", "{SECRETS["flag"]}"]',
        f'extra_args = ["--api-key={SECRETS["flag"]}"]',
        f'extra_args = ["--hub", "https://me:{SECRETS["url"]}@hub.invalid"]',
        f'container_args = ["-e", "A=http://me:{SECRETS["url"]}@x.invalid"]',
        f'extra_env = {{ HUB_TOKEN = "{SECRETS["flag"]}" }}',
        f'alias = "{KNOWN["SERVED_KEY"]}"',
        f"# the key is {SECRETS['comment']}",
        f'extra_args = ["--note", "{SECRETS["comment"]}"]',
    ],
)
def test_a_study_with_a_secret_in_it_is_refused_before_anything_is_stored(
    planted: str, model_files: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    path, results = tmp_path / "study.toml", tmp_path / "results"
    text = text_of(model_files, only="dense", engines=[{"name": "leaky", "python": sys.executable}])
    path.write_text(text.replace('name = "leaky"\n', f'name = "leaky"\n{planted}\n'))
    status, said = command(variables, "run", str(path), "--results", str(results))
    assert status == 2, said.decode()
    assert b"secret" in said
    assert leaks(said, SECRETS) == []
    assert not results.exists()
