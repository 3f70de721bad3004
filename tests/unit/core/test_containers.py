"""Engines in containers: command lines, what is recorded, and that nothing is left behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.programs import until
from tests.runtimes import DIGEST, ID

from inferometer import environment, launch, processes
from inferometer.containers import image as images
from inferometer.containers.image import Image
from inferometer.containers.running import PYTHON, Container, mount, seen
from inferometer.engine import Command, Readiness, Unsupported
from inferometer.errors import LaunchError
from inferometer.ports import lease
from inferometer.scripts import sweeping

if TYPE_CHECKING:
    from tests.runtimes import Runtimes

    from inferometer.study import Runtime

pytestmark = pytest.mark.waiting  # for containers

SERVER = """
import http.server, json, os, signal, sys
{before}
open(os.environ["HOME"] + "/seen.json", "w").write(json.dumps(dict(os.environ)))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args): pass
print("the engine is here", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def image_of(runtime: Runtime, *, rootless: bool = False) -> Image:
    return Image(
        runtime=runtime,
        program=Path(f"/usr/bin/{runtime}"),
        version="1",
        name="engine:1",
        reference="engine@sha256:00",
        digest="engine@sha256:00",
        id="sha256:11",
        rootless=rootless,
    )


def container_of(image: Image, home: Path = Path("/home/c"), **kw: Any) -> Container:
    given: dict[str, Any] = {"mounts": (Path("/models/m"),), "accelerator": "cuda"} | kw
    return Container(image=image, name="inferometer-r1", home=home, shm_bytes=1024, **given)


def serving(folder: Path, image: Image, before: str = "", **kw: Any) -> Any:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (folder / "server.py").write_text(SERVER.format(before=before))
    container = container_of(image, home, mounts=(folder,), accelerator="cpu")
    with lease("127.0.0.1") as port:
        command = Command(
            argv=(str(PYTHON), str(folder / "server.py"), str(port)), env={"ENGINE": "one"}
        )
        return launch.serve(
            command,
            host="127.0.0.1",
            port=port,
            readiness=Readiness(path="/"),
            failures=(),
            folder=folder,
            deadline_s=60.0,
            container=container,
            **kw,
        )


def ended(session: int, runtimes: Runtimes) -> bool:
    return until(lambda: not (processes.alive(session) or runtimes.containers()), 60)


def test_docker_s_command_line() -> None:
    line = container_of(image_of("docker"), args=("--ulimit", "memlock=-1")).argv(
        [str(PYTHON.parent / "vllm"), "serve", "/models/m", "--port", "8000"],
        {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_secret", "PATH": "/elsewhere"},
    )
    assert line == [
        *("/usr/bin/docker", "run", "--rm", "--init", "--pull", "never"),
        *("--name", "inferometer-r1", "--stop-signal", "SIGTERM"),
        *("--network", "host", "--shm-size", "1024"),
        *("--user", f"{os.getuid()}:{os.getgid()}"),
        *("--gpus", "all"),
        *("--mount", "type=bind,source=/models/m,destination=/models/m,ro"),
        *("--mount", "type=bind,source=/home/c,destination=/home/c"),
        *("--env", "HOME=/home/c", "--env", "USER=inferometer", "--env", "LOGNAME=inferometer"),
        # the client needs a PATH of its own, so the engine's is given by value
        *("--env", "HF_HUB_OFFLINE", "--env", "HF_TOKEN", "--env", "PATH=/elsewhere"),
        *("--ulimit", "memlock=-1"),
        *("--entrypoint", "vllm", "engine@sha256:00", "serve", "/models/m", "--port", "8000"),
    ]


def test_flags_that_choose_gpus_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    for flags in (("--gpus", "device=3"), ("--device", "nvidia.com/gpu=3")):
        line = container_of(image_of("docker"), args=flags).argv([str(PYTHON)], {})
        assert [word for word in line if "gpu" in word] == [w for w in flags if "gpu" in w]
        # outside it is number 3, inside it is the only one
        assert "CUDA_VISIBLE_DEVICES" not in launch.contained({}, (), flags)
        said = launch.contained({"CUDA_VISIBLE_DEVICES": "0"}, (), flags)
        assert said["CUDA_VISIBLE_DEVICES"] == "0"
    assert launch.contained({}, (), ("--gpus", "all"))["CUDA_VISIBLE_DEVICES"] == "3"
    odd = container_of(image_of("docker"), args=("--gpus=other words",)).argv([str(PYTHON)], {})
    assert [word for word in odd if "gpus" in word] == ["--gpus=other words"]


def test_podman_and_rootless_users() -> None:
    line = container_of(image_of("podman", rootless=True)).argv([str(PYTHON)], {})
    text = " ".join(line)
    assert "--user 0:0 --security-opt label=disable --device nvidia.com/gpu=all" in text
    assert line[-3:] == ["--entrypoint", "python3", "engine@sha256:00"]
    amd = container_of(image_of("podman"), accelerator="rocm").argv([str(PYTHON)], {})
    assert "--device /dev/kfd --device /dev/dri --group-add video" in " ".join(amd)
    on_cpu = container_of(image_of("docker"), accelerator="cpu").argv([str(PYTHON)], {})
    assert not {"--gpus", "--device"} & set(on_cpu)


def test_apptainer_s_command_line_and_variables() -> None:
    container = container_of(image_of("apptainer"))
    assert container.argv([str(PYTHON), "-m", "engine"], {"A": "1"}) == [
        *("/usr/bin/apptainer", "exec", "--cleanenv", "--no-mount", "cwd", "--home", "/home/c"),
        *("--mount", "type=bind,source=/models/m,destination=/models/m,ro", "--nv"),
        *("engine@sha256:00", "python3", "-m", "engine"),
    ]
    assert container.variables({"A": "1"})["APPTAINERENV_A"] == "1"
    assert container.ending(15.0) == {}


def test_a_path_with_a_comma_is_quoted() -> None:
    text = mount(Path('/a,b "c"'), "ro")
    assert text == 'type=bind,"source=/a,b ""c""","destination=/a,b ""c""",ro'


def test_what_files_link_to_is_seen_as_well(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "1", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "ab").write_text("weights")
    (snapshot / "model.safetensors").symlink_to("../../blobs/ab")
    (snapshot / "config.json").write_text("{}")
    (snapshot / "dangling").symlink_to("nowhere")
    assert seen([snapshot]) == (snapshot, blobs)


def test_the_real_client_knows_every_flag(tmp_path: Path) -> None:
    client = shutil.which("docker")
    if client is None:
        pytest.skip("no docker client here")
    image = image_of("docker")
    image = Image(**{n: getattr(image, n) for n in image.__slots__} | {"program": Path(client)})
    image = Image(
        **{n: getattr(image, n) for n in image.__slots__}
        | {"reference": f"engine@sha256:{'0' * 64}"}
    )
    container = container_of(image, tmp_path)
    lines = [
        container.argv([str(PYTHON), "-V"], {"A": "1"}),
        *container.ending(15.0).values(),
        [client, "image", "inspect", "--format", "{{json .}}", "x"],
        [client, "container", "inspect", "--format", "{{.State.Pid}}", "x"],
    ]
    away = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    for line in lines:
        done = subprocess.run(line, env=away, capture_output=True, text=True, check=False)
        assert "Cannot connect to the Docker daemon" in done.stderr, (line, done.stderr)


# -- images -------------------------------------------------------------------------------------


def test_an_image_is_identified(runtimes: Runtimes) -> None:
    found = images.find("docker", "oracle:1")
    assert (found.digest, found.reference) == (f"oracle@{DIGEST}", f"oracle@{DIGEST}")
    assert (found.id, found.version, found.rootless) == (ID, "28.2.2", False)
    own = images.find("podman", "built-here")
    assert (own.digest, own.reference, own.version, own.rootless) == (None, ID, "5.4.0", True)


def test_an_image_that_is_not_here_is_not_pulled(runtimes: Runtimes) -> None:
    with pytest.raises(Unsupported) as caught:
        images.find("docker", "vllm/vllm-openai:v0.33.0")
    assert "no image vllm/vllm-openai:v0.33.0 on this machine" in caught.value.message
    assert caught.value.remedy == "Fetch it first: docker pull vllm/vllm-openai:v0.33.0"
    assert not runtimes.calls("pull")


def test_a_daemon_that_does_not_answer(runtimes: Runtimes) -> None:
    runtimes.stop()
    with pytest.raises(Unsupported, match="daemon does not answer: Cannot connect") as caught:
        images.find("docker", "oracle:1")
    assert "systemctl start docker" in caught.value.remedy
    (runtimes.state / "denied").touch()
    with pytest.raises(Unsupported, match="may not talk to its daemon"):
        images.find("docker", "oracle:1")
    with pytest.raises(Unsupported, match="podman: does not work here"):
        images.find("podman", "oracle:1")


def test_a_runtime_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for runtime in ("docker", "podman", "apptainer"):
        with pytest.raises(Unsupported, match="not installed here") as caught:
            images.find(runtime, "x")
        assert "https://" in caught.value.remedy


def test_a_sif_file_is_known_by_its_hash(runtimes: Runtimes, tmp_path: Path) -> None:
    file = tmp_path / "engine.sif"
    file.write_bytes(b"an image")
    found = images.find("apptainer", str(file))
    assert found.id == f"sha256:{hashlib.sha256(b'an image').hexdigest()}"
    assert (found.version, found.reference) == ("1.3.4", str(file))
    with pytest.raises(Unsupported, match="no image file") as caught:
        images.find("apptainer", str(tmp_path / "none.sif"))
    assert "apptainer pull" in caught.value.remedy


def test_the_image_s_own_python_says_which_engine_it_holds(
    runtimes: Runtimes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = environment.contained(images.find("docker", "oracle:1"), ["inferometer"], None)
    assert found.version == found.distributions["inferometer"]
    assert not found.ours
    record = found.record()
    assert record["kind"] == "container"
    assert (record["image"], record["image_digest"]) == ("oracle:1", f"oracle@{DIGEST}")
    assert (record["runtime"], record["version_from"]) == ("docker", "image")
    assert "python" not in record
    assert "--network none" in " ".join(runtimes.calls("run")[0]["args"])
    with pytest.raises(Unsupported, match=r"holds inferometer .*, not 9\.9"):
        environment.contained(images.find("docker", "oracle:1"), ["inferometer"], "9.9")
    with pytest.raises(Unsupported, match="vllm is not among"):
        environment.contained(images.find("docker", "oracle:1"), ["vllm"], None)
    (runtimes.state / "image" / "python3").unlink()
    with pytest.raises(Unsupported, match="its Python cannot say"):
        environment.contained(images.find("docker", "oracle:1"), ["inferometer"], None)


@pytest.mark.parametrize("said", ["", "hello", "[]", "{}", '{"distributions": [1]}'])
def test_an_image_whose_python_says_something_else_costs_its_own_launches_only(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(images, "held", lambda *_: said)
    with pytest.raises(Unsupported, match="its Python does not say what it holds"):
        environment.contained(image_of("docker"), ["inferometer"], None)


# -- lifetime -----------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["docker", "podman"])
def test_a_server_in_a_container_answers_and_nothing_is_left(
    runtimes: Runtimes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    monkeypatch.setenv("ENGINE_KEY", "hush-hush")
    monkeypatch.setenv("OTHER", "stays with us")
    with serving(tmp_path, images.find(runtime, "oracle:1"), inherit=["ENGINE_KEY"]) as server:
        assert server.session_id is not None
        assert processes.alive(server.session_id)
        assert (processes.Session(server.session_id).used()[1] or 0) > 1 << 20
        assert len(runtimes.containers()) == 1
        session = server.session_id
    assert processes.alive(session) == []
    assert runtimes.containers() == []
    inside = (tmp_path / "home" / "seen.json").read_text()
    assert '"ENGINE": "one"' in inside
    assert '"ENGINE_KEY": "hush-hush"' in inside
    assert "stays with us" not in inside
    assert "hush-hush" not in str([call["args"] for call in runtimes.calls()])
    assert "the engine is here" in (tmp_path / "server.log").read_text()


def test_apptainer_is_a_process_like_any_other(runtimes: Runtimes, tmp_path: Path) -> None:
    file = tmp_path / "engine.sif"
    file.write_bytes(b"an image")
    with serving(tmp_path, images.find("apptainer", str(file))) as server:
        assert server.session_id is not None
        session = server.session_id
        assert processes.alive(session)
    assert processes.alive(session) == []
    assert '"ENGINE": "one"' in (tmp_path / "home" / "seen.json").read_text()


def test_the_container_ends_when_its_client_is_killed(runtimes: Runtimes, tmp_path: Path) -> None:
    with serving(tmp_path, images.find("docker", "oracle:1")) as server:
        session = server.session_id
        client = next(
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit() and is_client(folder, runtimes)
        )
        supervisor = psutil.Process(client).parent()
        assert supervisor is not None
        supervisor.suspend()  # or it might have ended the container before we look
        os.kill(client, signal.SIGKILL)
        assert until(lambda: psutil.Process(client).status() == psutil.STATUS_ZOMBIE, 60)
        assert processes.alive(session)  # the container does not care
        supervisor.resume()
        assert ended(session, runtimes)
        assert until(server.dead, 60)


def is_client(folder: Path, runtimes: Runtimes) -> bool:
    try:
        words = (folder / "cmdline").read_text().split("\0")
    except OSError:
        return False
    return words[3:7] == ["client", str(runtimes.state), "docker", "run"]


def test_the_container_ends_when_we_are_killed(runtimes: Runtimes, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from inferometer.containers import image as images
        from tests.unit.core.test_containers import serving
        with serving(Path({str(tmp_path)!r}), images.find("docker", "oracle:1")) as server:
            print(server.session_id, flush=True)
            time.sleep(300)
        """)
    )
    root = Path(__file__).parents[3]
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert parent.stdout is not None
    session = int(parent.stdout.readline())
    assert processes.alive(session)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert ended(session, runtimes)


@pytest.mark.parametrize("whose", ["ours", "the client's"])
def test_a_container_in_the_making_is_not_left(
    runtimes: Runtimes, tmp_path: Path, whose: str
) -> None:
    (runtimes.state / "slow_s").write_text("1.5")
    image = images.find("docker", "oracle:1")
    container = container_of(image, tmp_path, mounts=(), accelerator="cpu")
    command = Command(argv=(str(PYTHON), "-c", "import time; time.sleep(300)"))
    supervised = launch._start(command, tmp_path / "log", (), container=container)
    client = supervised.engine_pid()
    assert until(runtimes.making, 60)
    if whose == "the client's":
        os.kill(client, signal.SIGKILL)
    assert supervised.stop() == ""
    assert not runtimes.making()
    assert runtimes.containers() == []


def test_an_engine_that_ignores_sigterm_is_killed_in_its_container(
    runtimes: Runtimes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE_S", 1.0)
    with serving(tmp_path, images.find("docker", "oracle:1"), STUBBORN) as server:
        session = server.session_id
    assert processes.alive(session) == []
    assert runtimes.containers() == []


def test_what_the_runtime_says_is_in_the_failure(runtimes: Runtimes, tmp_path: Path) -> None:
    image = images.find("docker", "oracle:1")
    (runtimes.state / "image" / "python3").unlink()
    with (
        pytest.raises(LaunchError, match="before it was ready") as caught,
        serving(tmp_path, image),
    ):
        pass
    assert caught.value.hint.startswith("The image does not hold the engine's program")
    assert any("executable file not found" in line for line in caught.value.log_tail)


def test_a_container_that_cannot_be_removed_is_told() -> None:
    there = {"remove": ["false"], "list": ["echo", "f00"]}
    assert sweeping.remove(there, 0.0, 0.5) == 1
    assert sweeping.remove({**there, "list": ["false"]}, 0.0, 0.5) == 1  # nobody knows
    assert sweeping.remove({**there, "list": ["true"]}, 0.3, 0.5) == 0
