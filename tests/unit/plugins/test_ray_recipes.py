"""The recipes for Slurm and Kubernetes, as far as they can be tried without a cluster."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from inferometer.cli.run import command
from inferometer_plugins.executors.ray import OPTIONS

DOCS = Path(__file__).parents[3] / "docs"
RECIPES = (DOCS / "how-to" / "slurm-and-kubernetes.md").read_text()
BY_HAND = (DOCS / "how-to" / "run-on-several-machines.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", RECIPES, re.DOTALL)
    assert found
    return found[1]


def test_the_script_is_sound_and_starts_no_scheduler_of_ours() -> None:
    script = block("bash")
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "--signal=B:TERM@300" in script


def test_the_manifest_says_what_kuberay_needs() -> None:
    manifest: dict[str, Any] = yaml.safe_load(block("yaml"))
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    cluster = manifest["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    entry = shlex.split(manifest["spec"]["entrypoint"])
    assert f"nodes={group['replicas']}" in entry
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (container,) = group["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == container["resources"]["limits"]


@pytest.mark.parametrize("text", [RECIPES, BY_HAND], ids=["scheduled", "by hand"])
def test_every_option_in_them_exists(text: str) -> None:
    ours = {word for parameter in command.params for word in parameter.opts}
    runs = re.findall(r"inferometer run ((?:[^\n]|\\\n)*(?:\n    --[^\n]*)*)", text)
    assert runs
    used = set(re.findall(r"--[a-z-]+", " ".join(runs)))
    assert used <= ours
    named = set(re.findall(r"--executor-option ([a-z_]+)=", text))
    assert named <= set(OPTIONS)


def test_every_option_of_ray_start_exists() -> None:
    pytest.importorskip("ray")
    program = (
        "from ray.scripts.scripts import start; print(*(o for p in start.params for o in p.opts))"
    )
    line = [sys.executable, "-W", "ignore", "-c", program]
    known = set(subprocess.run(line, capture_output=True, text=True, check=True).stdout.split())
    starts = re.findall(r"ray start ((?:[^\n]|\\\n)*)", RECIPES + BY_HAND)
    used = set(re.findall(r"--[a-z-]+", " ".join(starts)))
    assert {"--head", "--address", "--block"} <= used
    assert used <= known
