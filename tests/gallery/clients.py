"""Four clients on one server: ours, `vllm bench serve`, AIPerf and GuideLLM, one after the other.

Usage: ``python -m tests.gallery.clients OUT [--url URL]``

Starts vLLM on the processor with the packaged dense model (or takes the server at URL), runs the
study of `reports/gallery/four-clients` against it, then each tool with the same streams and
lengths, and imports their files. Leaves ``OUT/results`` and ``OUT/tools``, which `python -m
tests.gallery.publish four-clients OUT/results OUT/tools` puts into the gallery. On an idle machine;
ten minutes, and once the tools' installation.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import peer_files, processes, tools
from tests.gallery import studies

from inferometer import environment, packaged
from inferometer.engine import LaunchContext, LaunchSpec
from inferometer.launch import serve
from inferometer.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME, MODEL, HOST, PORT = "four-clients", "smollm2-135m", "127.0.0.1", 8000
STREAMS, OUTPUT, REQUESTS = 8, 32, 96
LABEL = f"the same server, {STREAMS} streams, {tools.INPUT} tokens in, {OUTPUT} out"
FILES = {
    "vllm bench serve": ("vllm-bench", ("said.json",)),
    "aiperf": ("aiperf", ("aiperf/profile_export_aiperf.json", "aiperf/profile_export.jsonl")),
    "guidellm": ("guidellm", ("said.json",)),
}
"""By a tool's name, the format that imports its files, and the files."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the dense model with vLLM; yield the address."""
    root, platform = environment.cache_root(), environment.current_platform()
    engine = Registry().engines()["vllm"]
    built = environment.prepare(engine.requirements(platform), platform, root, print)
    context = LaunchContext(
        python=built.python,
        version=built.version,
        model_path=packaged.ensure(MODEL, built.python, root, print),
        model_name=MODEL,
        host=HOST,
        port=PORT,
        platform=platform,
        spec=LaunchSpec(graphs=False),
        profile="defaults",
        cores=2,
        memory_bytes=0,
    )
    command = engine.command(context)
    command = replace(command, argv=(*command.argv, "--served-model-name", MODEL))
    with serve(
        command,
        host=HOST,
        port=PORT,
        readiness=engine.readiness,
        failures=engine.failures,
        folder=folder,
    ):
        yield f"http://{HOST}:{PORT}"


def measure(url: str, out: Path, clients: list[tools.Tool]) -> None:
    """Measure the server with ours, then with each of the other clients."""
    study = str(studies.GALLERY / NAME / studies.STUDY)
    line = [sys.executable, "-m", "inferometer", "run", study, "--results", str(out / "results")]
    subprocess.run(line, check=True)
    load = tools.Load(url, requests=REQUESTS, output_tokens=OUTPUT, streams=STREAMS)
    for tool in map(peer_files.asked, clients):
        work = out / "work" / tool.name.replace(" ", "-")
        work.mkdir(parents=True)
        words = [str(word).replace("oracle", MODEL) for word in tool.command(load, work)]
        done = processes.run(words, work / "log.txt", tool.variables, 600)
        if done.status:
            raise SystemExit((work / "log.txt").read_text(errors="replace"))
        print(f"{tool.name} {tool.version}: {tool.read(work)}", flush=True)
        keep(tool, work, out)


def keep(tool: tools.Tool, work: Path, out: Path) -> None:
    """Keep what a tool said in ``out/tools``, and import it."""
    form, names = FILES[tool.name]
    folder = out / "tools" / form
    folder.mkdir(parents=True)
    kept = [Path(shutil.copy(work / name, folder)) for name in names]
    words = ("--results", out / "results", "--label", LABEL, "--tool-version", tool.version)
    print(studies.inferometer("import", form, *kept, *words), end="")


def main() -> int:
    """Run all four."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--url", help="a server that runs already; else one is started")
    asked = parser.parse_args()
    clients = tools.peers()
    asked.out.mkdir(parents=True)
    if asked.url:
        measure(asked.url, asked.out, clients)
    else:
        (asked.out / "server").mkdir()
        with served(asked.out / "server") as url:
            measure(url, asked.out, clients)
    return 0


if __name__ == "__main__":
    sys.exit(main())
