"""Real vLLM on the processor, judged by no time: the kit's live checks, and a flag it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
from tests.e2e.test_real_engines import VLLM, text_of
from tests.programs import ran

from inferometer import environment, packaged, processes
from inferometer.engine import LaunchContext, LaunchSpec
from inferometer.launch import serve
from inferometer.ports import lease
from inferometer.store import Store
from inferometer.testing import conformance
from inferometer_engines.vllm import Vllm

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]
HOST = "127.0.0.1"


def test_vllm_does_what_its_adapter_says(tmp_path: Path) -> None:
    engine = Vllm()
    root = environment.cache_root()
    platform = environment.current_platform("cpu")
    built = environment.prepare(engine.requirements(platform), platform, root, lambda _: None)
    model = packaged.ensure("smollm2-135m", built.python, root, lambda _: None)
    with lease(HOST) as port:
        command = engine.command(
            LaunchContext(
                python=built.python,
                version=built.version,
                model_path=model,
                model_name=str(model),
                host=HOST,
                port=port,
                platform=platform,
                spec=LaunchSpec(
                    graphs=False,
                    max_model_len=1024,
                    max_num_seqs=8,
                    extra_env={
                        # or the first log-probabilities wait half a minute for a kernel
                        "TORCHDYNAMO_DISABLE": "1",
                        # or threads wait in loops for one whose core another test has
                        "OMP_NUM_THREADS": "1",
                        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
                    },
                ),
                profile="defaults",
                cores=len(os.sched_getaffinity(0)),
                memory_bytes=psutil.virtual_memory().total,
                files=tmp_path,
            )
        )
        with serve(
            command,
            host=HOST,
            port=port,
            readiness=engine.readiness,
            failures=engine.failures,
            folder=tmp_path,
        ) as server:
            results = conformance.live(
                engine, server, model=str(model), tokenizer=model / "tokenizer.json"
            )
            session = server.session
    assert not processes.alive(session)
    wrong = [result for result in results if result.outcome not in {"pass", "n/a"}]
    assert not wrong
    assert sum(result.outcome == "pass" for result in results) >= 10


def test_an_engine_that_dies_while_loading_is_one_clear_error(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(text_of(VLLM | {"extra_args": ["--no-such-flag"]}))
    done = ran("run", study, "--results", tmp_path / "r")
    assert done.returncode == 5, done.stderr
    assert "1 of 1 launches failed" in done.stderr
    assert "Traceback" not in done.stderr
    (record,) = Store(tmp_path / "r").failures()
    assert record.failure is not None
    assert record.failure.reason == "bad_flag"
    assert any("unrecognized arguments" in line for line in record.failure.log_tail)
