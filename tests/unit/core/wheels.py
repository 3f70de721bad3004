"""A pure-Python wheel written by hand and the lock that installs it: no index, no network."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path


def lock_of(wheels: Path, *pins: str) -> str:
    return "\n".join(["# a lock", "--no-index", f"--find-links {wheels}", *pins, ""])


def make_wheel(folder: Path, name: str, version: str) -> Path:
    files = {
        f"{name}.py": "ANSWER = 42\n",
        f"{name}-{version}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        ),
        f"{name}-{version}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = f"{name}-{version}.dist-info/RECORD"
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        lines.append(f"{path},sha256={digest.decode()},{len(text)}")
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(record, "\n".join([*lines, f"{record},,", ""]))
    return wheel
