"""The bundled importers: other tools' result files. What each reads: docs/reference/imported.md."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from inferometer import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Imported
    from inferometer.importer import Importer, Source


class ModuleImporter(NamedTuple):
    """An importer whose code is ``inferometer_plugins.importers.<module>``, imported at use."""

    name: str
    module: str
    tool: str

    def read(self, sources: Sequence[Source]) -> Sequence[Imported]:
        """Return what the files hold."""
        found: Sequence[Imported] = import_module(f"{__name__}.{self.module}").read(sources)
        return found


@hookimpl
def inferometer_importers() -> Sequence[Importer]:
    """Return the bundled importers."""
    return (
        ModuleImporter(
            "aiperf", "aiperf", "AIPerf: profile_export_aiperf.json, profile_export.jsonl beside it"
        ),
        ModuleImporter("guidellm", "guidellm", "GuideLLM: the json output"),
        ModuleImporter("inferencex", "inferencex", "InferenceX: an aggregate, or a list of them"),
        ModuleImporter(
            "sglang-bench", "sglang_bench", "SGLang bench_serving: --output-file, with details"
        ),
        ModuleImporter(
            "vllm-bench", "vllm_bench", "vllm bench serve: --save-result, --save-detailed"
        ),
    )
