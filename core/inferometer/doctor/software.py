"""Container runtimes, plugins, engines' environments, and a tokenizer that needs no network."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

from inferometer import environment, inventory, packaged
from inferometer.doctor import nvidia
from inferometer.doctor.check import Late, Probe, asked, fail, gib, ok, skip, warn, within
from inferometer.engine import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inferometer.doctor.check import Finding, Site
    from inferometer.engine import Engine

TOOLKIT = "Install the NVIDIA container toolkit and run `sudo nvidia-ctk runtime configure`."
CDI = "Run `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`."
SIZE_S = 3.0
"""For counting an environment's files: on a network's disk they are many."""
SENTENCE = "Ünïcode, 12345 and\n  spaces: the same text comes back."


# -- containers: https://docs.docker.com/reference/cli/docker/system/info/ ----------------


def docker(site: Site) -> Finding:
    """Look for Docker: its daemon, and whether containers can have the GPUs."""
    found = _info("docker")
    if not isinstance(found, dict):
        return found
    version = found.get("ServerVersion")
    if not version:
        said = str(next(iter(found.get("ServerErrors") or [found["stderr"]]))).rstrip(" .?")
        remedy = "Start it (`sudo systemctl start docker`)."
        if "permission denied" in said.lower():
            remedy = (
                "Add yourself to its group (`sudo usermod -aG docker $USER`), then log in again."
            )
        return warn(f"the daemon cannot be reached: {said}", remedy)
    gpu = "nvidia" in (found.get("Runtimes") or {}) or _cdi(site)
    if _has_gpu(site) and not gpu:
        return warn(f"docker {version}, without GPU support", TOOLKIT)
    return ok(f"docker {version}" + (", with GPU support" if gpu else ""))


def podman(site: Site) -> Finding:
    """Look for Podman, and whether containers can have the GPUs (CDI)."""
    found = _info("podman")
    if not isinstance(found, dict):
        return found
    version = (found.get("version") or {}).get("Version")
    if not version:
        return warn("podman does not work", "Run `podman info` and mend what it says.")
    if _has_gpu(site) and not _cdi(site):
        return warn(f"podman {version}, without GPU support", CDI)
    return ok(f"podman {version}" + (", with GPU support" if _cdi(site) else ""))


def apptainer(_: Site) -> Finding:
    """Look for Apptainer; GPUs come with its --nv, from the host's libraries."""
    program = shutil.which("apptainer")
    if program is None:
        return skip("not installed")
    done = asked([program, "--version"])
    if done.returncode:
        return warn(f"{program} does not work: {_last(done.stderr)}", f"Run `{program} --version`.")
    return ok(f"{done.stdout.strip()} (GPUs by --nv)")


def _info(program: str) -> dict[str, Any] | Finding:
    """Return what ``PROGRAM info`` says, or why it says nothing."""
    path = shutil.which(program)
    if path is None:
        return skip("not installed")
    # Podman knows the same template functions.
    try:
        done = asked([path, "info", "--format", "{{json .}}"])
    except subprocess.TimeoutExpired:
        return warn(f"{program} info did not end in time", f"Restart the {program} service.")
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        said = _last(done.stderr) or f"exit status {done.returncode}"
        return warn(f"{program} info: {said}", f"Run `{program} info` and mend what it says.")
    return {**found, "stderr": _last(done.stderr) or "no reason given"}


def _last(output: str) -> str:
    return (output.strip().splitlines() or [""])[-1]


def _cdi(site: Site) -> bool:
    places = (site.root / "etc/cdi", site.root / "var/run/cdi", site.root / "run/cdi")
    return any(any(place.glob("*nvidia*")) for place in places)


def _has_gpu(site: Site) -> bool:
    return site.text("proc/driver/nvidia/version") is not None or nvidia.on_bus(site)


# -- AMD ---------------------------------------------------------------------------------


def amd(site: Site) -> Finding:
    """Look at the device through which ROCm computes."""
    device = site.root / "dev/kfd"
    if not device.exists():
        return skip("no AMD GPU")
    if not os.access(device, os.R_OK | os.W_OK):
        remedy = "Add yourself to its groups (`sudo usermod -aG render,video $USER`); log in again."
        return fail("/dev/kfd may not be opened", remedy)
    if importlib.util.find_spec("amdsmi") is None:
        remedy = "Run `pip install 'inferometer[amd]'` with the version of the installed ROCm."
        return warn("/dev/kfd may be opened; without amdsmi energy cannot be measured", remedy)
    return ok("/dev/kfd may be opened, and amdsmi is installed")


# -- ours --------------------------------------------------------------------------------


def plugins(site: Site) -> Finding:
    """Say whether every installed plugin is sound."""
    rows = site.registry.report()
    broken = [f"{row.kind} {row.name} ({row.module}): {row.problem}" for row in rows if row.problem]
    if broken:
        remedy = "Mend or uninstall it; INFEROMETER_PLUGINS names the only plugins to load."
        return fail("; ".join(broken), remedy)
    return ok(f"{len(rows)} things from {len({row.distribution for row in rows})} distributions")


def tokenizer(site: Site) -> Finding:
    """Say whether a packaged model's tokenizer loads and gives a text back, from files alone."""
    for name in packaged.PACKAGED:
        if (folder := packaged.available(name, site.cache)) is not None:
            from tokenizers import Tokenizer  # noqa: PLC0415 -- 40 ms that other checks need not pay

            loaded = Tokenizer.from_file(str(folder / "tokenizer.json"))
            ids = loaded.encode(SENTENCE, add_special_tokens=False).ids
            if loaded.decode(ids, skip_special_tokens=False) != SENTENCE:
                remedy = f"Remove {folder} and run the quickstart, which makes it again."
                return fail(f"{name}: another text came back", remedy)
            return ok(f"{name}: {len(ids)} tokens and back, from files alone")
    return skip("no packaged model made yet", "Run `inferometer models prepare smollm2-135m`.")


def engine_probes(site: Site) -> Iterator[Probe]:
    """Yield one check for each installed engine's environment."""
    for name, engine in sorted(site.registry.engines().items()):
        yield Probe(f"engine-{name}", partial(_environment, engine))


def _size(home: Path) -> str:
    try:
        return gib(within(SIZE_S, lambda: inventory.size_bytes(home)))
    except Late:
        return "too many files to count,"


def _environment(engine: Engine, site: Site) -> Finding:
    platform = environment.current_platform()
    try:
        kept = inventory.current(engine, platform, site.cache)
    except Unsupported as refusal:
        return skip(f"no environment here: {refusal.message}", refusal.remedy)
    again = f"inferometer engines install {engine.name}"
    if kept.state == "not built":
        return skip("not built", f"`{again}`, or the first run, builds it.")
    size = _size(kept.home)
    if kept.state == "half-built":
        return warn(f"half-built, {size} in {kept.home}", f"Run `{again}` to build it anew.")
    done = asked([str(kept.python), "-c", "import sys; print(sys.version_info[:2])"])
    if done.returncode:
        remedy = f"Run `inferometer engines remove {engine.name}`, then `{again}`."
        return fail(f"{kept.python} does not run: {_last(done.stderr)}", remedy)
    return ok(f"{kept.version}, {size} in {kept.home}")


PROBES = (
    Probe("gpu-amd", amd),
    Probe("docker", docker),
    Probe("podman", podman),
    Probe("apptainer", apptainer),
    Probe("tokenizer", tokenizer),
    Probe("plugins", plugins),
)
