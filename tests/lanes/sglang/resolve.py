"""Which argument lists SGLang's own resolution refuses; runs in SGLang's environment.

``ENGINE_PYTHON resolve.py lines.json`` prints a JSON list of ``[arguments, error]``. Resolution is
what the server does with its arguments before it loads anything.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
from pathlib import Path


def refused(lines: list[list[str]]) -> list[tuple[list[str], str]]:
    """Return the argument lists that cannot be resolved, and why."""
    logging.disable(logging.WARNING)
    arguments = importlib.import_module("sglang.srt.server_args").ServerArgs
    parser = argparse.ArgumentParser(allow_abbrev=False)
    arguments.add_cli_args(parser)
    found = []
    for line in lines:
        try:
            resolved = arguments.from_cli_args(parser.parse_args(line))
            resolved.resolve_once()
            resolved.check_server_args()
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever it is, is the answer
            found.append((line, f"{type(error).__name__}: {error}"))
    return found


if __name__ == "__main__":
    print(json.dumps(refused(json.loads(Path(sys.argv[1]).read_text()))))  # noqa: T201 -- speaks on stdout
