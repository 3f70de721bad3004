"""What clients' figures mean: which are defined as ours are, and which have another name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

PERCENTS = (50, 90, 95, 99)


class Quantity(NamedTuple):
    """What an id means. ``as_ours``: a metric of ours has this id and this formula."""

    title: str
    unit: str
    definition: str
    as_ours: bool = False


class Latency(NamedTuple):
    """A time of one request; percentiles of it have names of their own even where it is ours."""

    title: str
    formula: str
    as_ours: bool = False


LATENCIES = {
    "ttft": Latency("Time to first token", "(first content event - send)", True),
    "tpot": Latency("Time per output token", "(E2E - TTFT) / (output tokens - 1)", True),
    "e2e": Latency("End-to-end latency", "(last content event - send)", True),
    "first_event": Latency(
        "Time to first event", "(first event - send), also where it has a role and no content"
    ),
    "event_tpot": Latency(
        "Time per output token, from first to last event",
        "(last event - first event) / (output tokens - 1), events without content among them",
    ),
    "last_event": Latency(
        "Time to last event", "(last event - send), also where it has no content"
    ),
    "stream_end": Latency(
        "Time to the end of the stream",
        "(end of the answer's stream - send), after its last content",
    ),
    "stream_end_tpot": Latency(
        "Time per output token to the end of the stream",
        "(end of the answer's stream - TTFT) / (output tokens - 1)",
    ),
}
WHOLE = "the whole run, ramp-up and drain among it; ours is of a window"
PERIOD = "the tool's own measured period, which is not our window"
"""What stands for :data:`WHOLE` where a tool leaves out warm-up or cool-down."""
QUANTITIES: Mapping[str, Quantity] = {
    **{
        f"{name}_ms": Quantity(
            f"{it.title}, mean", "ms", f"mean over requests of {it.formula}", it.as_ours
        )
        for name, it in LATENCIES.items()
    },
    "interactivity_tok_s_user": Quantity("Interactivity", "tok/s/user", "1 / mean TPOT", True),
    **{
        f"{name}_p{percent}_finished_ms": Quantity(
            f"{it.title}, p{percent} of finished requests",
            "ms",
            f"of {it.formula} over requests that finished; ours counts failed ones as unfinished",
        )
        for name, it in LATENCIES.items()
        for percent in PERCENTS
    },
    "inter_chunk_ms": Quantity(
        "Inter-chunk latency, mean",
        "ms",
        "mean gap between streamed events, of whatever number of tokens: no inter-token latency",
    ),
    **{
        f"inter_chunk_p{percent}_ms": Quantity(
            f"Inter-chunk latency, p{percent}", "ms", "of the gaps between streamed events"
        )
        for percent in PERCENTS
    },
    "tpot_after_first_chunk_ms": Quantity(
        "Time per output token after the first event, mean",
        "ms",
        "mean over requests of (E2E - TTFT) / (output tokens - those of the first event)",
    ),
    "tpot_token_weighted_ms": Quantity(
        "Time per output token, mean over tokens",
        "ms",
        "requests' TPOT weighted by their output tokens - 1; ours weighs requests alike",
    ),
    "e2e_per_output_token_ms": Quantity(
        "End-to-end latency per output token",
        "ms",
        "(last content event - send) / output tokens, weighted by tokens: prefill is in it",
    ),
    "mean_interactivity_tok_s_user": Quantity(
        "Interactivity, mean of requests",
        "tok/s/user",
        "mean over requests of 1 / TPOT; ours is 1 / mean TPOT",
    ),
    "mean_interactivity_after_first_chunk_tok_s_user": Quantity(
        "Interactivity after the first event, mean of requests",
        "tok/s/user",
        "mean over requests of (output tokens - those of the first event) / (E2E - TTFT)",
    ),
    "interactivity_at_p99_tpot_tok_s_user": Quantity(
        "Interactivity at the p99 of TPOT", "tok/s/user", "1 / p99 of TPOT over finished requests"
    ),
    "run_output_tok_s": Quantity(
        "Output tokens per second of the run", "tok/s", f"output tokens / length of {WHOLE}"
    ),
    "run_total_tok_s": Quantity(
        "Tokens per second of the run", "tok/s", f"prompt and output tokens / length of {WHOLE}"
    ),
    "run_requests_s": Quantity(
        "Requests per second of the run", "requests/s", f"finished requests / length of {WHOLE}"
    ),
    "mean_of_rates_output_tok_s": Quantity(
        "Output rate, mean over time", "tok/s", f"time-weighted mean of the rate over {WHOLE}"
    ),
    "mean_of_rates_requests_s": Quantity(
        "Request rate, mean over time", "requests/s", f"time-weighted mean of the rate over {WHOLE}"
    ),
    "run_output_tok_s_gpu": Quantity(
        "Output tokens per second and GPU of the run",
        "tok/s/GPU",
        f"output tokens / length of {WHOLE} / GPUs as the file counts them",
    ),
    "run_output_tok_s_decode_gpu": Quantity(
        "Output tokens per second and decode GPU of the run",
        "tok/s/GPU",
        f"output tokens / length of {WHOLE} / GPUs that decode; those that prefill are left out",
    ),
    "run_total_tok_s_gpu": Quantity(
        "Tokens per second and GPU of the run",
        "tok/s/GPU",
        f"prompt and output tokens / length of {WHOLE} / GPUs as the file counts them",
    ),
    "duration_s": Quantity("Length of the run", "s", f"of {WHOLE}"),
    "finished_requests": Quantity("Finished requests", "requests", "counted by the client"),
    "failed_requests": Quantity("Failed requests", "requests", "counted by the client"),
    "cut_off_requests": Quantity(
        "Requests cut off", "requests", "ended by the client: neither finished nor failed"
    ),
    "unfinished_requests": Quantity(
        "Unfinished requests", "requests", "failed ones and those that the client cut off"
    ),
    "asked_input_tokens": Quantity(
        "Prompt tokens asked", "tokens", "as the client made them, not as the server counts"
    ),
    "input_tokens": Quantity("Prompt tokens", "tokens", "of finished requests"),
    "output_tokens": Quantity("Output tokens", "tokens", "of finished requests"),
}
"""Every id that the bundled importers give. Latencies are over all finished requests of a run."""


def _percentile_notes(words: str) -> dict[str, str]:
    ids = [id_ for id_ in QUANTITIES if re.search(r"_p\d\d(_finished)?_ms$", id_)]
    return dict.fromkeys(ids, words)


LINEAR = _percentile_notes("interpolated linearly")
ORDERED = _percentile_notes("least value that the share does not exceed")
"""How a tool's percentiles are made, for :attr:`Figures.notes`."""
