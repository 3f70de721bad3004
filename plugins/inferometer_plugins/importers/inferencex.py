"""InferenceX: ``agg_*.json``, an object or a list of them; latencies there are seconds."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from inferometer.importer import ForeignFile, document, number, table
from inferometer_plugins.importers import bench_json
from inferometer_plugins.importers.figures import Figures
from inferometer_plugins.importers.making import imported
from inferometer_plugins.importers.quantities import LINEAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Imported
    from inferometer.importer import Source

TOOL = "InferenceX"
NAMES = {"ttft": "ttft", "tpot": "tpot", "e2e": "e2el", "inter_chunk": "itl"}
KEYS = (
    bench_json.Key("interactivity_tok_s_user", "mean_intvty"),
    bench_json.Key("interactivity_at_p99_tpot_tok_s_user", "p99_intvty"),
    bench_json.Key("run_total_tok_s_gpu", "tput_per_gpu"),
)
OUTPUT = "output_tput_per_gpu"
SETTING = (
    *("hw", "framework", "model", "precision", "spec_decoding", "disagg", "tp", "pp", "pcp_size"),
    *("ep", "dp_attention", "num_prefill_gpu", "prefill_hw", "prefill_tp", "prefill_ep"),
    *("num_decode_gpu", "decode_hw", "decode_tp", "decode_ep", "conc", "isl", "osl", "image"),
)
NEEDED = ("hw", "framework", "tput_per_gpu")
LIMITS = (
    "One run a point.",
    "All warm-up requests have the same prompt.",
    "The number of GPUs is as configured (TP x PP x PCP, or prefill and decode GPUs), not counted.",
    "Prompt tokens, in the total, are as the client made them.",
    "Over chat completions, which it does not tell, an event of the role alone is a first token.",
)


def read(sources: Sequence[Source]) -> list[Imported]:
    """Return one measurement an aggregate.

    Raises:
        ForeignFile: a file is not of this format.
    """
    return [
        _read(source, said, where, number_)
        for source in sources
        for number_, (where, said) in enumerate(_aggregates(source))
    ]


def _aggregates(source: Source) -> list[tuple[str, Any]]:
    """Return the aggregates of a file with their places in it."""
    said = document(source.content)
    if not isinstance(said, list):
        return [("", said)]
    if not said:
        raise ForeignFile("is an empty list")
    return [(f"[{place}].", one) for place, one in enumerate(said)]


def _read(source: Source, one: Any, where: str, number_: int) -> Imported:
    said = table(one, f"aggregate {number_ + 1}")
    lacking = [name for name in NEEDED if name not in said]
    if lacking:
        raise ForeignFile(f"aggregate {number_ + 1} is none of {TOOL}: lacks {', '.join(lacking)}")
    found = Figures(source, notes=LINEAR)
    # with prefill apart, output is divided by the GPUs that decode, the total by all
    apart = (number(said.get("num_decode_gpu")) or 0) > 0
    output = "run_output_tok_s_decode_gpu" if apart else "run_output_tok_s_gpu"
    keys = chain(bench_json.latencies(NAMES, "", 1000), KEYS, [bench_json.Key(output, OUTPUT)])
    bench_json.add(found, said, keys, where)
    return imported(
        format_="inferencex",
        tool=TOOL,
        version="",
        sources=[source],
        number_=number_,
        measured="",
        setting={name: said.get(name) for name in SETTING},
        figures=found.finish(),
        limits=LIMITS,
    )
