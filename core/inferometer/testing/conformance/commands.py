"""Checks of the command an adapter makes: its words, its terms, its profiles, its refusals."""

from __future__ import annotations

import itertools
import json
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.engine import Command, Unsupported
from inferometer.spec import EQUAL
from inferometer.testing.check import Failed, applies, check, checks_of, need
from inferometer.testing.conformance.kit import HOME, PLATFORMS, VALUES, completion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.testing.check import Check
    from inferometer.testing.conformance.kit import Kit, Variant

CANARY = "hf_madeUpCanary0123456789"
SECRETS = ("HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "INFEROMETER_TOKEN")
FLAG = ("--made-up-flag", "made-up-value")
ODD_VERSIONS = ("1000.0.0rc1", "1000.0.0+cpu", "1000.0.0.dev20260101+gabc", "0.0.1", "unknown", "")


def whole(command: Command) -> str:
    """Return everything a command says, as text."""
    return json.dumps(
        [command.argv, dict(command.env), dict(command.instrument_env), dict(command.files)],
        sort_keys=True,
    )


@check
def command_pure(kit: Kit) -> None:
    """The same context gives the same command, whatever the surroundings."""
    first = kit.command(kit.context())
    with _surroundings({"HOME": "/made-up/home", "MADE_UP": "1"}):
        second = kit.command(kit.context())
    need(first == second, "the command changes with the surroundings or from call to call")


@check
def command_text(kit: Kit) -> None:
    """Arguments and variables are text, and configuration files have plain names."""
    said = kit.command(kit.context())
    odd = [word for word in said.argv if not isinstance(word, str) or "\0" in word]
    need(said.argv and not odd, f"not text: {odd!r}")
    pairs = [*said.env.items(), *said.instrument_env.items(), *said.files.items()]
    strange = [pair for pair in pairs if not all(isinstance(part, str) for part in pair)]
    need(not strange, f"not text: {strange!r}")
    outside = [name for name in said.files if name != Path(name).name]
    need(not outside, f"not plain file names: {outside!r}")


@check
def program(kit: Kit) -> None:
    """It starts a program of the engine's own environment."""
    said = kit.command(kit.context()).argv[0]
    need(Path(said).parent == HOME / "bin", f"{said} is not beside the environment's python")


@check
def host_and_port(kit: Kit) -> None:
    """The server listens where it is told to."""
    for host, port in (("127.0.0.1", 20123), ("127.0.0.7", 29999)):
        said = whole(kit.command(kit.context(host=host, port=port)))
        need(str(port) in said, f"port {port} is not in the command")
        need(host in said, f"host {host} is not in the command")


@check
def loopback(kit: Kit) -> None:
    """Told to listen on this machine alone, nothing in the command listens for others."""
    for version in kit.behaviour.versions:
        command = kit.command(kit.context(version=version))
        words = [*command.argv, *command.env.values(), *command.instrument_env.values()]
        listening = {word.rpartition("=")[2].strip("'\"[]") for word in words} & {"0.0.0.0", "::"}  # noqa: S104 -- looked for
        need(not listening, f"{version}: listens on {', '.join(listening)}")
        need("0.0.0.0" not in "".join(command.files.values()), f"{version}: a file has 0.0.0.0")  # noqa: S104 -- as above


@check
def no_foreign_code(kit: Kit) -> None:
    """It runs no code that comes with a model, unless the study says so."""
    for platform, version in itertools.product(PLATFORMS, kit.behaviour.versions):
        with suppress(Unsupported):
            said = whole(kit.command(kit.context(version=version, platform=platform)))
            found = re.search(r"trust[-_]remote[-_]code", said, re.IGNORECASE)
            need(found is None, f"{version} on {platform}: has trust_remote_code of its own")


@check
def model_path(kit: Kit) -> None:
    """The model's directory is in the command."""
    at = kit.context()
    need(str(at.model_path) in whole(kit.command(at)), "the model's directory is not there")


@check
def files_are_named(kit: Kit) -> None:
    """Each configuration file is pointed to by its full path."""
    at = kit.context()
    command = kit.command(at)
    applies(command.files, "it needs no configuration file")
    for each in command.files:
        path = str(at.files / each)
        need(any(path in word for word in command.argv), f"{path} is not on the command line")


@check
def no_secrets(kit: Kit) -> None:
    """No key or token of the person who measures is in the command."""
    with _surroundings(dict.fromkeys(SECRETS, CANARY)):
        said = whole(kit.command(kit.context()))
    need(CANARY not in said, "a secret of ours is in the command")


@contextmanager
def _surroundings(variables: dict[str, str]) -> Iterator[None]:
    kept = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


# -- the terms of a launch -----------------------------------------------------------------------


@check
def terms_answered(kit: Kit) -> None:
    """Every value of every term of a launch changes the command, or is refused: none is dropped."""
    for term, found in _by_term(kit).items():
        told = [whole(each.said) for each in found if isinstance(each.said, Command)]
        if term == "seed" and _request_differs(kit, VALUES[term][0]):
            continue  # it goes with each request
        for each in found:
            same = _same(each)
            # what is on or off may be so already; then the other value differs
            other = isinstance(each.value, bool) and len(set(told)) == 2
            need(not same or other, f"{term} = {each.value!r} is dropped without a word")
        need(len(set(told)) == len(told), f"{term}: different values are said alike")


def _same(each: Variant) -> bool:
    plain, said = each.plain, each.said
    return isinstance(plain, Command) and isinstance(said, Command) and plain == said


def _by_term(kit: Kit) -> dict[str, list[Variant]]:
    found: dict[str, list[Variant]] = {}
    for each in kit.variants(kit.context()):
        found.setdefault(each.term, []).append(each)
    return found


def _request_differs(kit: Kit, seed: int) -> bool:
    bodies = [kit.engine.request(completion("m", 4, True, 0, seed=s)) for s in (None, seed)]
    return bodies[0] != bodies[1]


@check
def term_values(kit: Kit) -> None:
    """Two values of a term give two commands: numbers arrive as they are."""
    plain = kit.context()
    for name in ("max_model_len", "max_num_seqs", "max_num_batched_tokens", "tensor_parallel_size"):
        commands = []
        for value in (512, 1024):
            try:
                term: dict[str, Any] = {name: value}
                commands.append(
                    whole(kit.command(replace(plain, spec=replace(plain.spec, **term))))
                )
            except Unsupported:
                continue
        need(len(set(commands)) == len(commands), f"{name} = 512 and 1024 give the same command")
        for command, value in zip(commands, (512, 1024), strict=False):
            need(str(value) in command, f"{name} = {value} is not in the command")


@check
def terms_refused_by_name(kit: Kit) -> None:
    """A term that the engine has no word for is refused by its name."""
    refused = [
        (each.term, each.said)
        for each in kit.variants(kit.context())
        if isinstance(each.said, Unsupported)
    ]
    applies(refused, "it refuses no term")
    for term, refusal in refused:
        need(term in refusal.message, f"{term}: {refusal.message!r} does not name it")
        need(kit.engine.name in refusal.message, f"{term}: {refusal.message!r} names no engine")


@check
def terms_on_every_platform(kit: Kit) -> None:
    """Terms are answered or refused on every platform and release, and never crash."""
    for version in kit.behaviour.versions:
        for platform in PLATFORMS:
            at = kit.context(version=version, platform=platform)
            try:
                list(kit.variants(at))
            except Exception as error:
                where = f"{version} on {platform}"
                raise Failed(f"{where}: {type(error).__name__}: {error}") from error


@check
def extra_args_last(kit: Kit) -> None:
    """The study's extra arguments stand last, as they are: the user has the last word."""
    said = kit.command(kit.context(extra_args=FLAG)).argv
    need(said[-2:] == FLAG, f"the command ends with {' '.join(said[-2:])}")


@check
def extra_env_wins(kit: Kit) -> None:
    """The study's extra variables arrive, and outrank the adapter's own."""
    plain = kit.command(kit.context())
    wanted = {"MADE_UP_VARIABLE": "1"} | dict.fromkeys(plain.env, "the user's")
    said = kit.command(kit.context(extra_env=wanted)).env
    lost = [key for key, value in wanted.items() if said.get(key) != value]
    need(not lost, f"lost: {', '.join(lost)}")


# -- profiles ------------------------------------------------------------------------------------


@check
def defaults_left_alone(kit: Kit) -> None:
    """The profile ``defaults`` sets none of what ``equalized`` makes equal."""
    said = whole(kit.command(kit.context()))
    lengths = [EQUAL["max_num_batched_tokens"], EQUAL["max_num_seqs"]]
    found = [str(value) for value in lengths if re.search(rf"\b{value}\b", said)]
    need(not found, f"{', '.join(found)} is in the command though nobody asked")


@check
def equalized_says_everything(kit: Kit) -> None:
    """The profile ``equalized`` says each equal term, or refuses the one it cannot say."""
    try:
        said = kit.command(kit.context(profile="equalized", kv_cache_tokens=65536))
    except Unsupported as refusal:
        terms = [*VALUES, "profile"]
        named = any(re.search(rf"\b{term}\b", refusal.message) for term in terms)
        need(named, f"it refuses, and names no term: {refusal.message}")
        return
    words = " ".join(said.argv) + "\n" + "\n".join(said.files.values())
    lacking = [term for term in kit.behaviour.equalized if term not in words]
    need(not lacking, f"it does not say: {', '.join(lacking)}")
    plain = kit.context(kv_cache_tokens=65536)
    for name, value in EQUAL.items():
        one = kit.command(replace(plain, spec=replace(plain.spec, **{name: value})))
        extra = _words(one) - _words(kit.command(plain))
        need(extra <= _words(said), f"{name} = {value} alone says {extra - _words(said)}")


def _words(command: Command) -> set[str]:
    lines = [line.strip(" ,") for text in command.files.values() for line in text.splitlines()]
    return {*command.argv, *(line for line in lines if not line.endswith("{"))}


@check
def study_outranks_profile(kit: Kit) -> None:
    """What the study sets stays, also in the profile ``equalized``."""
    try:
        said = kit.command(kit.context(profile="equalized", kv_cache_tokens=65536, max_num_seqs=77))
    except Unsupported as refusal:
        applies(False, f"equalized is refused: {refusal.message}")
        return
    need(re.search(r"\b77\b", whole(said)), "max_num_seqs = 77 is not in the command")
    need(not re.search(rf"\b{EQUAL['max_num_seqs']}\b", whole(said)), "the profile's 256 is")


# -- releases ------------------------------------------------------------------------------------


@check
def releases_answered(kit: Kit) -> None:
    """Each release in question has a command on some platform."""
    for version in kit.behaviour.versions:
        kit.platform(version)


@check
def old_release_refused(kit: Kit) -> None:
    """A release too old to be known is refused, with the oldest that is known."""
    old = kit.behaviour.too_old
    platform = kit.platform()
    try:
        kit.command(kit.context(version=old or "0.0.1", platform=platform))
    except Unsupported as refusal:
        need(kit.engine.name in refusal.message, f"{refusal.message!r} names no engine")
        need(re.search(r"\d+\.\d+", refusal.remedy), f"no release in the remedy {refusal.remedy!r}")
        return
    applies(old, "it takes every release")
    raise Failed(f"{old} is not refused")


@check
def odd_releases_answered(kit: Kit) -> None:
    """A candidate, a local build or no version at all is answered or refused, and never crashes."""
    platform = kit.platform()
    for version in ODD_VERSIONS:
        at = replace(kit.context(platform=platform), version=version)
        try:
            kit.command(at)
        except Unsupported:
            continue
        except Exception as error:
            raise Failed(f"version {version!r}: {type(error).__name__}: {error}") from error


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
