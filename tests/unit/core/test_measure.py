"""How the load of a launch is laid out."""

from __future__ import annotations

import http.server
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from inferometer import probing, scoring, workload
from inferometer.engine import Adapter, Speculative, Unsupported
from inferometer.errors import LaunchError
from inferometer.failing import unforeseen
from inferometer.launch import Server
from inferometer.loadgen.http import Target
from inferometer.loadgen.offer import Body
from inferometer.measure import Bench
from inferometer.point import hushed, known_windows, phased, wrapped
from inferometer.prepare import PreparedStack, container
from inferometer.progress import Silent
from inferometer.records import Request, Score
from inferometer.study import EngineEntry, Protocol
from inferometer.testing.oracle import Options, Oracle
from inferometer.told import resolved
from inferometer.work import staggered

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_each_stream_s_first_request_has_another_age() -> None:
    lengths = staggered([16] * 12, range(5, 9))
    assert lengths == [16] * 5 + [4, 8, 12, 16] + [16] * 3


def test_a_length_never_becomes_nothing() -> None:
    assert staggered([2] * 8, range(8)) == [1, 1, 1, 1, 1, 2, 2, 2]


def test_lengths_that_differ_are_staggered_each_by_itself() -> None:
    assert staggered([9, 40, 80, 20, 10], range(1, 5)) == [9, 10, 40, 15, 10]
    assert staggered([9, 40, 80], []) == [9, 40, 80]  # an open loop


def test_past_the_last_prompt_the_ordinary_ones_come_again() -> None:
    assert [wrapped(index, 6, 3) for index in range(10)] == [0, 1, 2, 3, 4, 5, 3, 4, 5, 3]


def test_windows_are_as_long_as_the_first_round_s_and_an_open_loop_s_alike_for_all() -> None:
    def made(stack: str, round_: int, closed_s: int, open_s: int, model: str = "m") -> Any:
        windows = [
            SimpleNamespace(load_point=i, arrivals=kind, start_ns=5, end_ns=5 + s * 10**9)
            for i, (kind, s) in enumerate((("", closed_s), ("poisson", open_s)))
        ]
        return SimpleNamespace(
            stack={"id": stack},
            model={"name": model},
            round=round_,
            position=2 * round_ + "ab".index(stack),
            windows=windows,
        )

    records = [made("a", 0, 1, 9, model="n"), made("a", 0, 70, 100), made("b", 0, 80, 100)]
    store: Any = SimpleNamespace(each=lambda _: reversed(records))

    def known(stack: str, round_: int) -> dict[int, float]:
        launch: Any = SimpleNamespace(stack=stack, round=round_, model=SimpleNamespace(name="m"))
        return known_windows(store, launch)

    assert known("b", 1) == pytest.approx({0: 80.0, 1: 100.0})
    assert known("c", 0) == pytest.approx({1: 100.0})
    records.append(made("b", 1, 90, 110))
    assert known("b", 2) == pytest.approx({0: 80.0, 1: 100.0})


def request(index: int) -> Request:
    return Request(
        index=index,
        load_point=0,
        phase="load",
        stream=0,
        prompt=index,
        intended_ns=0,
        sent_ns=0,
        input_tokens_expected=1,
        output_tokens_expected=1,
    )


def test_shortened_requests_are_marked_and_no_others() -> None:
    phases = [phased(request(index), {5, 6, 7, 8}).phase for index in range(4, 10)]
    assert phases == ["load", "stagger", "stagger", "stagger", "stagger", "load"]


def test_an_unforeseen_error_becomes_a_failure_without_secrets() -> None:
    failure = unforeseen(KeyError("hf_abcdefghijklmnopqrstuvwx"))
    assert failure.reason == "failed"
    assert "KeyError" in failure.message
    assert "hf_abc" not in failure.message + "".join(failure.log_tail)
    assert any("KeyError" in line for line in failure.log_tail)


def test_the_engine_is_given_the_draft_model_s_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not know ``~``, and in a container no folder of ours is the current one."""

    def draft(model: str) -> str | None:
        speculative = Speculative(method="eagle3", tokens=3, model=model)
        entry = EngineEntry(name="disclosing", speculative=speculative)
        stack = PreparedStack("s", entry, Disclosing(), Unsupported("not here"))  # type: ignore[arg-type]
        assert stack.spec.speculative is not None
        return stack.spec.speculative.model

    (tmp_path / "head").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert draft("~/head") == draft("head") == str(tmp_path / "head")
    assert draft("somebody/in-the-hub-s-cache") == "somebody/in-the-hub-s-cache"


def test_a_container_is_given_the_draft_model_that_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its home has no cache of the hub, and a path that is not here cannot be mounted."""
    cached = tmp_path / "hub" / "models--some--head"
    snapshot, blobs = cached / "snapshots" / "ab12", cached / "blobs"
    for folder in (snapshot, blobs, cached / "refs"):
        folder.mkdir(parents=True)
    (cached / "refs" / "main").write_text("ab12")
    (blobs / "cd34").write_text("weights")
    (snapshot / "model.safetensors").symlink_to("../../blobs/cd34")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    image = SimpleNamespace(id="sha256:00")

    def given(model: str) -> tuple[str | None, tuple[Path, ...]]:
        speculative = Speculative(method="eagle3", tokens=3, model=model)
        entry = EngineEntry(name="disclosing", container="docker", speculative=speculative)
        ready: Any = SimpleNamespace(image=image)
        stack = PreparedStack("s", entry, Disclosing(), ready)  # type: ignore[arg-type]
        prepared: Any = SimpleNamespace(
            stacks={"s": stack},
            model=lambda _: SimpleNamespace(path=Path("/models/m")),
            platform=SimpleNamespace(accelerator="cuda"),
            memory_bytes=2048,
        )
        found = container(SimpleNamespace(stack="s"), prepared, tmp_path / "none", "name")  # type: ignore[arg-type]
        assert found is not None
        assert stack.spec.speculative is not None
        return stack.spec.speculative.model, found.mounts

    assert given("some/head") == (str(snapshot), (Path("/models/m"), snapshot, blobs))
    assert given("some/other") == ("some/other", (Path("/models/m"),))


@dataclass(frozen=True, slots=True)
class Disclosing(Adapter):
    """Tells its whole environment."""

    name: str = "disclosing"
    resolved_configuration: Sequence[str] = ("/configuration",)


def test_what_is_handed_on_by_name_is_hidden_wherever_the_engine_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LICENCE", "no-usual-shape-42")
    monkeypatch.setenv("LEVEL", "INFO")
    entry = EngineEntry(name="disclosing", pass_env=("LICENCE", "LEVEL", "NOT_SET"))
    stack = PreparedStack("s", entry, Disclosing(), Unsupported("not here"))  # type: ignore[arg-type]
    assert stack.secrets == ("no-usual-shape-42",)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"started_as": "serve --licence no-usual-shape-42", "log": "INFO"}')

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        server = Server(
            host="127.0.0.1",
            port=listening.server_port,
            session_id=0,
            ready_s=0.0,
            log=Path("none"),
            dead=lambda: None,
        )
        found = resolved(stack.engine, server, stack.secrets)
        listening.shutdown()
        thread.join()
    assert found == {"/configuration": {"started_as": "serve --licence [hidden]", "log": "INFO"}}


def test_a_server_that_repeats_its_key_does_not_get_it_onto_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_live: object) -> list[Score]:
        raise ValueError("HTTP 401: no such key: no-usual-shape-42")

    monkeypatch.setattr(scoring, "scores", refused)
    stacks = {"s": SimpleNamespace(secrets=("no-usual-shape-42",))}
    progress = Silent()
    bench: Any = SimpleNamespace(prepared=SimpleNamespace(stacks=stacks), progress=progress)
    live: Any = SimpleNamespace(launch=SimpleNamespace(id="r0", stack="s"))
    Bench._score(bench, live)
    ((kind, said),) = progress.said
    assert kind == "warn"
    assert said.endswith("HTTP 401: no such key: [hidden]")


def test_the_greedy_probe_takes_silence_for_a_stall_when_the_study_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = Body(
        content=b'{"prompt": [1], "max_tokens": 1, "stream": true}',
        prompt=0,
        input_tokens=1,
        output_tokens=1,
    )
    monkeypatch.setattr(workload, "probe_prompts", lambda _: [""])
    monkeypatch.setattr(probing, "request_bodies", lambda *_, **__: [body])
    with Oracle(Options(fault="silent")) as oracle:
        target = Target("127.0.0.1", oracle.port)
        server = SimpleNamespace(dead=lambda: None)
        live: Any = SimpleNamespace(
            target=target, server=server, tokenizer=None, engine=None, model="m", seed=None
        )
        with pytest.raises(LaunchError) as raised:
            probing.probe(live, 1, Protocol(stall_timeout_s=0.5))
    assert raised.value.reason == "stalled"


def test_an_error_is_cut_after_its_secrets_are_hidden() -> None:
    key = "no-usual-shape-42"
    row = Request(
        index=0,
        load_point=0,
        phase="load",
        stream=0,
        prompt=0,
        intended_ns=0,
        sent_ns=0,
        input_tokens_expected=1,
        output_tokens_expected=1,
        status="error",
        error="x" * 1995 + key + "y" * 3000,
    )
    said = hushed(row, (key,)).error
    assert said == "x" * 1995 + "[hidd [cut: 5003 characters]"
    assert (hushed(row, ()).error or "").endswith("no-us [cut: 5012 characters]")
