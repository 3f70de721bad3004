"""Read the options of an engine release from its published source, without importing it.

Run it to write or to renew a golden list (``tests/golden/engines/*.txt``)::

    python read_flags.py sglang sglang-0.5.23-*.whl
    python read_flags.py vllm vllm-0.33.0-*.whl
    ENGINE_PYTHON read_flags.py vllm-parser     # its own parser, in its environment; or sglang-
    ENGINE_PYTHON read_flags.py vllm-accepts lines.json    # which argument lists it refuses
    ENGINE_PYTHON read_flags.py vllm-parser lines.json     # both, for importing it takes long
    python read_flags.py tensorrt-llm trtllm_serve_cli.yaml|serve.py llm_args.py

``tests/unit/engines/test_flags.py`` holds every option the adapters can emit against the lists;
``python -m pytest tests/unit/engines/test_flags.py -m engine`` also asks the real vLLM parser, and
``make lane-sglang`` SGLang's.
Only the standard library: it also runs inside an engine's environment.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import logging
import re
import sys
import textwrap
import zipfile
from pathlib import Path


def sglang(sources: dict[str, str]) -> set[str]:
    """Return the options of ``ServerArgs``: annotated fields and explicit ``add_argument`` calls.

    Since 0.5.14 a field annotated ``A[type, Arg(...)]`` is an option named after it.
    """
    found: set[str] = set()
    for name, text in sources.items():
        if "/multimodal_gen/" in name:  # the server for images has options of its own
            continue
        if "/server_args.py" not in name and "/arg_groups/fields/" not in name:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.AnnAssign):
                found |= _annotated(node)
            elif isinstance(node, ast.Call):
                found |= _added(node)
    return found


def _annotated(node: ast.AnnAssign) -> set[str]:
    hint = node.annotation
    marked = isinstance(hint, ast.Subscript) and ast.unparse(hint.value) in {"A", "Annotated"}
    if not (marked and isinstance(hint, ast.Subscript) and isinstance(hint.slice, ast.Tuple)):
        return set()
    names = {"--" + ast.unparse(node.target).replace("_", "-")}
    keys: dict[str, ast.expr] = {}
    for meta in hint.slice.elts[1:]:
        if isinstance(meta, ast.Call):
            if ast.unparse(meta.func) == "Derived":
                return set()
            keys |= {key.arg: key.value for key in meta.keywords if key.arg}
    if "no_cli" in keys and ast.unparse(keys["no_cli"]) == "True":
        return set()
    if isinstance(keys.get("cli_name"), ast.Constant):
        names = {ast.literal_eval(keys["cli_name"])}
    if isinstance(keys.get("aliases"), ast.List):
        names |= set(ast.literal_eval(keys["aliases"]))
    return names


def _added(node: ast.Call) -> set[str]:
    if not (isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"):
        return set()
    words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
    return {word for word in words if isinstance(word, str) and word.startswith("--")}


def vllm(sources: dict[str, str]) -> set[str]:
    """Return the options of vLLM's server: ``arg_utils.py`` and the fields of its front end.

    A boolean field of a configuration class gets ``--no-`` beside its option.
    """
    classes = _classes(sources)
    arguments = next(text for name, text in sources.items() if name.endswith("arg_utils.py"))
    tree = ast.parse(arguments)
    owner = {
        ast.unparse(node.targets[0]): ast.unparse(node.value.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "get_kwargs"
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (flags := _added(node)):
            hints = [
                classes.get(owner.get(ast.unparse(part.value), ""), {}).get(_key(part), "")
                for part in ast.walk(node)
                if isinstance(part, ast.Subscript)
            ]
            boolean = any("bool" in hint for hint in hints)
            found |= flags | ({f"--no-{flag[2:]}" for flag in flags} if boolean else set())
    for name in ("BaseFrontendArgs", "FrontendArgs"):
        for field, hint in classes.get(name, {}).items():
            flag = field.replace("_", "-")
            found |= {f"--{flag}"} | ({f"--no-{flag}"} if hint == "bool" else set())
    return found


def _classes(sources: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the annotated fields of every configuration class."""
    return {
        node.name: _fields(node)
        for name, text in sources.items()
        if "/config/" in name or name.endswith("cli_args.py")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    }


def _key(part: ast.Subscript) -> str:
    return str(part.slice.value) if isinstance(part.slice, ast.Constant) else ""


def _fields(node: ast.ClassDef) -> dict[str, str]:
    return {
        ast.unparse(line.target): ast.unparse(line.annotation)
        for line in node.body
        if isinstance(line, ast.AnnAssign)
    }


def vllm_parser() -> tuple[str, argparse.ArgumentParser]:
    """Return version and argument parser of the vLLM installed with this interpreter."""
    logging.disable(logging.WARNING)
    version = importlib.import_module("vllm.version").__version__
    utils = importlib.import_module("vllm.utils.argparse_utils")
    for place in PLACES:
        try:
            cli = importlib.import_module(place)
            break
        except ImportError:
            continue
    return version, cli.make_arg_parser(utils.FlexibleArgumentParser())


def sglang_parser() -> tuple[str, argparse.ArgumentParser]:
    """Return version and argument parser of the SGLang installed with this interpreter."""
    version = importlib.import_module("sglang.version").__version__
    parser = argparse.ArgumentParser(allow_abbrev=False)
    importlib.import_module("sglang.srt.server_args").ServerArgs.add_cli_args(parser)
    return version, parser


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Return the long options of a parser."""
    words = {word for action in parser._actions for word in action.option_strings}
    return {word for word in words if word.startswith("--")}


def refused(parser: argparse.ArgumentParser, lines: list[list[str]]) -> list[list[str]]:
    """Return the argument lists that the parser does not take; it says why on stderr."""
    found = []
    for line in lines:
        try:
            parser.parse_args(line)
        except (SystemExit, ValueError) as error:
            print(f"{line}: {error}", file=sys.stderr)
            found.append(line)
    return found


PLACES = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
)
"""Where releases keep the front end options, newest first."""

YAML_CLASSES = {
    "TorchLlmArgs": "",
    "BaseLlmArgs": "",
    "KvCacheConfig": "kv_cache_config.",
    "CudaGraphConfig": "cuda_graph_config.",
    "BaseCudaGraphConfig": "cuda_graph_config.",
    "DecodeCudaGraphConfig": "cuda_graph_config.",
    "MoeConfig": "moe_config.",
    "DecodingBaseConfig": "speculative_config.",
    "NGramDecodingConfig": "speculative_config.",
    "EagleDecodingConfig": "speculative_config.",
    "Eagle3DecodingConfig": "speculative_config.",
    "MTPDecodingConfig": "speculative_config.",
    "DraftTargetDecodingConfig": "speculative_config.",
}


def tensorrt_llm(sources: dict[str, str]) -> set[str]:
    """Return options of ``trtllm-serve serve`` and YAML fields of its PyTorch backend.

    Options come from ``serve.py`` (click) or from the project's own list of them, fields from
    ``llm_args.py`` (pydantic, unknown fields forbidden).
    """
    found: set[str] = set()
    for name, text in sources.items():
        if name.endswith(".yaml"):
            serve = text.partition("\n  serve:")[2].partition("\n  disaggregated:")[0]
            found |= set(re.findall(r'^\s+- "(--[^"]+)"', serve, re.MULTILINE))
        elif name.endswith("serve.py"):
            serve = text.partition('@click.command("serve")')[2].partition("\ndef serve(")[0]
            found |= set(re.findall(r"""["'](--[a-zA-Z_-]+)["']""", serve))
        else:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef) and node.name in YAML_CLASSES:
                    prefix = YAML_CLASSES[node.name]
                    found |= {prefix + field for field in _fields(node) if field[0] != "_"}
    return found


def listing(source: str, flags: set[str]) -> str:
    """Return the text of a golden list."""
    body = textwrap.fill(" ".join(sorted(flags)), 98, break_on_hyphens=False)
    return f"# source: {source}\n# options and fields: {len(flags)}\n{body}\n"


def read(path: Path) -> tuple[str, set[str]]:
    """Return source and content of a golden list."""
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    words = [word for line in lines if not line.startswith("#") for word in line.split()]
    return head.removeprefix("# source: "), set(words)


def main(arguments: list[str]) -> None:
    """Print one golden list."""
    kind, *paths = arguments
    engine, _, what = kind.rpartition("-")
    if what in {"parser", "accepts"}:
        name, made = {"vllm": ("vLLM", vllm_parser), "sglang": ("SGLang", sglang_parser)}[engine]
        version, parser = made()
        if what == "parser":
            source = f"argument parser of {name} {version}, asked in its environment"
            print(listing(source, options(parser)))
        for lines in paths:
            print(json.dumps(refused(parser, json.loads(Path(lines).read_text()))))
        return
    sources: dict[str, str] = {}
    for path in map(Path, paths):
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                wanted = ("arg_utils.py", "cli_args.py", "server_args.py")
                sources |= {
                    name: wheel.read(name).decode()
                    for name in wheel.namelist()
                    if name.endswith(wanted)
                    or re.search(r"(vllm/config|arg_groups/fields)/[^/]*\.py$", name)
                }
        else:
            sources[str(path)] = path.read_text(encoding="utf-8")
    readers = {"sglang": sglang, "vllm": vllm, "tensorrt-llm": tensorrt_llm}
    print(listing(", ".join(Path(path).name for path in paths), readers[kind](sources)))


if __name__ == "__main__":
    main(sys.argv[1:])
