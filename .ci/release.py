"""Make the files of a release: refuse what is none, build, judge, publish nothing.

``check`` says whether what is checked out can be released; ``build`` fills ``dist/``. The steps
around it are in ``.github/RELEASING.md``; ``make release`` takes them in order.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = "inferometer,inferometer_engines,inferometer_plugins,inferometer_reports"
TOOLS = Path(sys.executable).parent


class NotReleasableError(Exception):
    """What is checked out is no release; says why, and what to do."""


def check(root: Path) -> str:
    """Return the version that is checked out at ``root``.

    Raises:
        NotReleasableError: something is not committed, tagged or told, or of an old version.
    """
    left = git(root, "status", "--porcelain")
    if left:
        raise NotReleasableError(f"not committed:\n{left}\nCommit or remove it.")
    tags = git(root, "tag", "--points-at", "HEAD", "--list", "v[0-9]*").split()
    if len(tags) != 1:
        raise NotReleasableError(
            f"this commit has {len(tags)} version tags, needs one: "
            "git tag -a v1.2.3 -m 'Release 1.2.3'"
        )
    version = tags[0].removeprefix("v")
    _news(root, version)
    _plugins(root, tags[0])
    return version


def git(root: Path, *words: str) -> str:
    """Return what git says."""
    line = ["git", "-C", str(root), *words]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


def plugins(root: Path) -> list[Path]:
    """Return the folders of the distributions that are released beside ours."""
    return sorted(file.parent for file in root.glob("plugins/*/pyproject.toml"))


def _news(root: Path, version: str) -> None:
    folder = root / ".github" / "changelog"
    left = sorted(it.name for it in folder.glob("*.md") if it.name != "README.md")
    if left:
        raise NotReleasableError(
            f"not in docs/changelog.md yet: {', '.join(left)}. "
            f"Before the tag: make news VERSION={version}"
        )
    if f"\n## {version} (" not in (root / "docs" / "changelog.md").read_text(encoding="utf-8"):
        raise NotReleasableError(
            f"docs/changelog.md: no heading of {version}. Tag what it tells of."
        )


def _plugins(root: Path, tag: str) -> None:
    """Refuse a plugin that changed since the last release, but under the version of then."""
    # by when they were made: a candidate's number would come behind its release's
    line = ("tag", "--merged", "HEAD", "--sort=-creatordate", "--list", "v[0-9]*")
    before = next((name for name in git(root, *line).split() if name != tag), "")
    for folder in plugins(root) if before else ():
        name = folder.relative_to(root).as_posix()
        parts = (f"{name}/inferometer_*", f"{name}/pyproject.toml")
        if not git(root, "diff", "--name-only", before, "HEAD", "--", *parts):
            continue
        file = f"{name}/pyproject.toml"
        then = git(root, "show", f"{before}:{file}") if _had(root, before, file) else ""
        now = (root / file).read_text(encoding="utf-8")
        if then and _version(then) == _version(now):
            raise NotReleasableError(
                f"{name}: changed since {before}, but is {_version(now)} still. Raise its version."
            )


def _had(root: Path, tag: str, file: str) -> bool:
    return bool(git(root, "ls-tree", "--name-only", tag, "--", file))


def _version(pyproject: str) -> str:
    return str(tomllib.loads(pyproject)["project"]["version"])


def build(root: Path, dist: Path) -> list[Path]:
    """Build ours and each plugin into ``dist``, dated by the commit; return the files."""
    shutil.rmtree(dist, ignore_errors=True)
    environ = os.environ | {"SOURCE_DATE_EPOCH": git(root, "log", "-1", "--format=%ct")}
    for source in (root, *plugins(root)):
        line = [sys.executable, "-m", "build", "--outdir", str(dist), str(source)]
        subprocess.run(line, check=True, env=environ, stdout=subprocess.DEVNULL)
    return sorted(dist.iterdir())


def judge(files: list[Path]) -> None:
    """Have each file looked at by those who wrote the rules for it."""
    for wheel in (it for it in files if it.suffix == ".whl"):
        name = wheel.name.partition("-")[0]
        tops = OURS if name == "inferometer" else name
        line = [str(TOOLS / "check-wheel-contents"), "--toplevel", tops, str(wheel)]
        subprocess.run(line, check=True)
    subprocess.run([str(TOOLS / "twine"), "check", "--strict", *map(str, files)], check=True)


def main(words: list[str]) -> int:
    """Run one step; return the exit status."""
    if words not in (["check"], ["build"]):
        print("usage: release.py check|build", file=sys.stderr)
        return 2
    try:
        version = check(ROOT)
    except NotReleasableError as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    print(f"release {version}")
    if words == ["build"]:
        files = build(ROOT, ROOT / "dist")
        judge(files)
        for file in files:
            print(hashlib.sha256(file.read_bytes()).hexdigest(), file.relative_to(ROOT))
        print("Nothing is published. Next: the last two steps of .github/RELEASING.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
