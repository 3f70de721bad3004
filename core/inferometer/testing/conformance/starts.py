"""Checks of a launch: the adapter's command really starts a fake of its engine, and ends it."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer import processes
from inferometer.engine import Unsupported
from inferometer.errors import LaunchError
from inferometer.launch import serve
from inferometer.testing.check import Failed, applies, check, checks_of, need
from inferometer.testing.conformance import talk
from inferometer.testing.conformance.commands import FLAG
from inferometer.testing.conformance.declared import classified, messages
from inferometer.testing.conformance.kit import HOST, PATIENCE_S, PLATFORMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inferometer.engine import Platform
    from inferometer.testing.check import Check
    from inferometer.testing.conformance.kit import Kit

AT_ONCE = 4
"""Starts side by side."""


def side_by_side(run: Callable[[Any], str], cases: Sequence[Any]) -> list[str]:
    """Return what ``run`` says of each case, without what is empty."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [said for said in pool.map(run, cases) if said]


@check
def starts(kit: Kit) -> None:
    """The command starts, and the server is seen to be ready."""
    with kit.started() as fake:
        need(fake.server.dead() is None, "it ended at once")
        need(processes.alive(fake.server.session), "it has no process")


@check
def every_release_starts(kit: Kit) -> None:
    """Each release in question starts by its own command, on each kind of accelerator it has."""
    cases = list(_releases(kit))
    applies(len(cases) > 1, "there is one release, on one kind of accelerator")

    def start(case: tuple[str, Platform]) -> str:
        version, platform = case
        try:
            with kit.started(version=version, platform=platform):
                return ""
        except LaunchError as error:
            return f"{version} on {platform}: {error.message}"

    failed = side_by_side(start, cases)
    need(not failed, "; ".join(failed))


def _releases(kit: Kit) -> Iterator[tuple[str, Platform]]:
    """Yield the newest release on every platform, and the others on the first."""
    for version in kit.behaviour.versions:
        first = kit.platform(version)
        for platform in PLATFORMS[::2]:
            with suppress(Unsupported):
                kit.command(kit.context(version=version, platform=platform))
                if version == kit.version or platform == first:
                    yield version, platform


@check
def waits_for_a_late_port(kit: Kit) -> None:
    """While connections are refused it waits, and goes on when the server listens."""
    with kit.started(starting="refused", load_s=0.3) as fake:
        took = fake.server.ready_s or 0.0
        need(took >= 0.3, f"called ready after {took:.2f} s of 0.3")


@check
def waits_while_unavailable(kit: Kit) -> None:
    """While every route answers 503 it waits, and goes on when the model is loaded."""
    headers = dict(kit.behaviour.starting_headers) or {"retry-after": "1"}
    with kit.started(starting="unavailable", starting_headers=headers, load_s=0.3) as fake:
        took = fake.server.ready_s or 0.0
        need(took >= 0.3, f"called ready after {took:.2f} s of 0.3")


@check
def gives_up_in_time(kit: Kit) -> None:
    """A server that never gets ready is given up at the limit, and told as ``not_ready``."""
    error = _fails(kit, load_s=60.0, deadline_s=0.3)
    need(error.reason == "not_ready", f"told as {error.reason}: {error.message}")


@check
def arrives_whole(kit: Kit) -> None:
    """Arguments and variables arrive in the engine's process as the adapter said them."""
    fake = kit.fake()
    seen = fake.seen()
    need(seen["argv"] == list(fake.command.argv[1:]), f"arguments arrived as {seen['argv']}")
    said = {**fake.command.instrument_env, **fake.command.env}
    lost = [name for name, value in said.items() if seen["environment"].get(name) != value]
    need(not lost, f"variables lost: {', '.join(lost)}")


@check
def stays_quiet(kit: Kit) -> None:
    """The engine runs offline and tells nobody: the adapter undoes none of it."""
    environment = kit.fake().seen()["environment"]
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK"):
        need(environment.get(name) == "1", f"{name} is {environment.get(name)!r}")


@check
def secrets_stay_with_us(kit: Kit) -> None:
    """No variable of ours that looks like a secret reaches the engine's process."""
    kept = os.environ.get("HF_TOKEN")
    os.environ["HF_TOKEN"] = "hf_madeUpCanary0123456789"  # noqa: S105 -- made up
    try:
        with kit.started() as fake:
            found = "madeUpCanary" in str(fake.seen()["environment"])
    finally:
        os.environ.pop("HF_TOKEN")
        if kept is not None:
            os.environ["HF_TOKEN"] = kept
    need(not found, "HF_TOKEN reached the engine's process")


@check
def configuration_file_arrives(kit: Kit) -> None:
    """The engine's process reads the configuration file that the adapter wrote."""
    fake = kit.fake()
    applies(fake.command.files, "it needs no configuration file")
    lost = fake.command.files.keys() - fake.seen()["files"].keys()
    need(not lost, f"not read: {', '.join(lost)}")


# -- failures ------------------------------------------------------------------------------------


def _fails(kit: Kit, **how: Any) -> LaunchError:
    """Return the error of a launch that must fail."""
    try:
        with kit.started(**how):
            raise Failed("it started")
    except LaunchError as error:
        return error


@check
def deaths_are_classified(kit: Kit) -> None:
    """An engine that dies while loading is told by its own message, with reason and remedy."""
    cases = messages(kit)
    applies(cases, "it declares no failure classes, or none whose pattern can be sampled")

    def die(case: tuple[str, str]) -> str:
        line, reason = case
        error = _fails(kit, last_words=f"INFO: loading\n{line}\nINFO: shutting down")
        if error.reason != reason:
            return f"{line!r} is told as {error.reason}, not {reason}"
        return "" if error.hint else f"{line!r} has no remedy"

    wrong = side_by_side(die, cases)
    need(not wrong, "; ".join(wrong))


@check
def every_class_dies(kit: Kit) -> None:
    """Every failure class has a message that the engine is known to end with."""
    applies(kit.engine.failures, "it declares no failure classes")
    seen = {classified(kit, line) for line, _ in messages(kit)}
    unseen = sorted({known.reason for known in kit.engine.failures} - seen)
    need(not unseen, f"no message for: {', '.join(unseen)}; give Behaviour(messages=...)")


@check
def unknown_option_told(kit: Kit) -> None:
    """An option that the engine does not know ends the launch as ``bad_flag``."""
    _told(kit, "bad_flag", _fails(kit, spec={"extra_args": FLAG}))


@check
def unknown_setting_told(kit: Kit) -> None:
    """A field that its configuration file may not hold ends the launch as ``bad_flag``."""
    files = kit.fake().seen()["files"]
    applies(files, "it needs no configuration file")
    applies(any(isinstance(found, dict) for found in files.values()), "the file is not JSON")
    _told(kit, "bad_flag", _fails(kit, unknown_settings=True))


@check
def taken_port_told(kit: Kit) -> None:
    """A port that somebody else has ends the launch as ``port_in_use``."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))  # without listening: connections are refused meanwhile
        _told(kit, "port_in_use", _fails(kit, port=taken.getsockname()[1]))


def _told(kit: Kit, reason: str, error: LaunchError) -> None:
    declared = {known.reason for known in kit.engine.failures}
    applies(reason in declared, f"it declares no failure class {reason}: {error.message}")
    last = error.log_tail[-1] if error.log_tail else ""
    need(error.reason == reason, f"told as {error.reason}: {last!r}")
    need(error.hint, "there is no remedy")


@check
def missing_program_told(kit: Kit) -> None:
    """An environment without the program is told with the program's path."""
    at = kit.context()  # its environment is nowhere
    command = kit.command(at)
    try:
        with serve(
            command,
            host=at.host,
            port=at.port,
            readiness=kit.engine.readiness,
            failures=kit.engine.failures,
            folder=kit.folder(),
            deadline_s=1.0,
        ):
            raise Failed("it started")
    except LaunchError as error:
        need(command.argv[0] in error.message, f"told as {error.message!r}")
        need(error.stage == "start", f"told as a failure to {error.stage}")


@check
def death_while_serving(kit: Kit) -> None:
    """A server that dies under load is seen: the load ends, and says so."""
    try:
        with kit.started() as fake:
            os.kill(fake.server.session, 9)
            until = time.monotonic() + PATIENCE_S
            while fake.server.dead() is None and time.monotonic() < until:
                time.sleep(0.02)
            need(fake.server.dead(), "it is dead, and called alive")
            fake.ask(fake.completion())
            raise Failed("a dead server took a request")
    except LaunchError as error:
        need(error.reason == "killed", f"told as {error.reason}: {error.message!r}")


# -- the end -------------------------------------------------------------------------------------


@check
def stops_at_once(kit: Kit) -> None:
    """SIGTERM ends it, and none of its processes is left."""
    with kit.started(grace_s=10.0) as fake:
        session = fake.server.session
        began = time.monotonic()
    took = time.monotonic() - began
    need(not processes.alive(session), "processes are left")
    need(took < 8, f"it took {took:.1f} s")


@check
def killed_if_stubborn(kit: Kit) -> None:
    """A server that ignores SIGTERM is killed when its time is over."""
    with kit.started(grace_s=0.3, stubborn=True) as fake:
        session = fake.server.session
    need(not processes.alive(session), "it outlived its end")


@check
def orphans_end(kit: Kit) -> None:
    """A child it leaves behind in a session of its own is ended, too."""
    note = kit.folder() / "orphan"
    with kit.started(orphan=str(note), grace_s=0.3):
        child = int(note.read_text(encoding="utf-8"))
        need(Path(f"/proc/{child}").exists(), "the fake left no child")
    need(not _lives(child), "the child is still there")


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@check
def log_is_kept(kit: Kit) -> None:
    """What it writes is kept as its log, and the tail goes into the error."""
    error = _fails(kit, last_words="ValueError: made-up last words")
    need("made-up last words" in error.message, f"told as {error.message!r}")
    need(any("made-up" in line for line in error.log_tail), "the log's tail is empty")


# -- readiness and configuration -----------------------------------------------------------------


@check
def readiness_generates_nothing(kit: Kit) -> None:
    """Asking whether it is ready runs no generation, in any release."""
    guilty = []
    for version in kit.behaviour.versions:
        said = kit.command(kit.context(version=version)).readiness or kit.engine.readiness
        if said.path.partition("?")[0] in kit.behaviour.generating:
            guilty.append(f"{version}: {said.path}")
    need(not guilty, f"a generation runs: {', '.join(guilty)}")


@check
def readiness_disturbs_nothing(kit: Kit) -> None:
    """Asking whether it is ready moves no counter."""
    applies(kit.engine.metrics, "it has no counters")
    fake = kit.fake()
    path = (fake.command.readiness or kit.engine.readiness).path
    before = fake.counted()
    need(talk.status(fake.server, path) == 200, f"{path} does not answer 200")
    need(fake.counted(before) == before, f"{path} moves the counters")


@check
def configuration_is_read_back(kit: Kit) -> None:
    """Each route of the resolved configuration answers with JSON that has what is looked for."""
    applies(kit.engine.resolved_configuration, "it declares none")
    server = kit.fake().server
    for path in kit.engine.resolved_configuration:
        route, _, key = path.partition("#")
        answer = server.get_json(route)
        need(isinstance(answer, dict), f"{route} has no JSON object")
        need(not key or (isinstance(answer, dict) and key in answer), f"{route} has no {key}")


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
