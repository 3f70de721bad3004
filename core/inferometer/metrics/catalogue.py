"""The metrics there are.

Columns of the grains are made in :mod:`inferometer.metrics.windows` (``request``, ``window``),
:mod:`inferometer.metrics.goodput` and :mod:`inferometer.metrics.shares` (``meter``). Definitions
are the design's: a token counts where its event fell, a request counts where its last event fell, a
failed request is unfinished.
"""

from __future__ import annotations

import polars as pl

from inferometer.metrics.declaration import Metric
from inferometer.metrics.joules import ENERGY
from inferometer.metrics.money import COST
from inferometer.uncertainty.percentiles import least_number

_FINISHED = pl.col("finished")
_INTENDED = " from intended send"


def _mean(column: str) -> pl.Expr:
    """Return the mean over finished requests; the failed ones are told by ``error_rate``."""
    return pl.col(column).filter(_FINISHED).mean()


def _percentile(column: str, name: str, words: str, p: float) -> Metric:
    short = f"p{round(p * 100)}"
    return Metric(
        id=f"{name}_{short}_ms",
        title=f"{words}, {short}",
        unit="ms",
        direction="lower",
        grain="request",
        requires=(column,),
        expression=pl.col(column),
        formula=f"least time that a share {p:g} of the requests of full length that ended did not "
        f"exceed; a failed one counts as +inf; told from {least_number(p)} requests times their "
        "design effect, those of all launches together",
        source="least number: MLPerf LoadGen's early stopping; interval: order statistics",
        percentile=p,
    )


THROUGHPUT = (
    Metric(
        id="output_tok_s",
        title="Output throughput",
        unit="tok/s",
        direction="higher",
        grain="window",
        requires=("output_tokens", "window_s"),
        expression=pl.col("output_tokens") / pl.col("window_s"),
        formula="output tokens whose event fell in the window / window length",
    ),
    Metric(
        id="input_tok_s",
        title="Input throughput",
        unit="tok/s",
        direction="higher",
        grain="window",
        requires=("input_tokens", "window_s"),
        expression=pl.col("input_tokens") / pl.col("window_s"),
        formula="prompt tokens of requests whose first token fell in the window / window length",
    ),
    Metric(
        id="total_tok_s",
        title="Total throughput",
        unit="tok/s",
        direction="higher",
        grain="window",
        requires=("input_tokens", "output_tokens", "window_s"),
        expression=(pl.col("input_tokens") + pl.col("output_tokens")) / pl.col("window_s"),
        formula="input tok/s + output tok/s",
    ),
    Metric(
        id="requests_s",
        title="Requests completed",
        unit="req/s",
        direction="higher",
        grain="window",
        requires=("completed", "window_s"),
        expression=pl.col("completed") / pl.col("window_s"),
        formula="requests whose last event fell in the window / window length",
    ),
    Metric(
        id="error_rate",
        title="Error rate",
        unit="1",
        direction="lower",
        grain="window",
        requires=("ended",),
        expression=pl.col("failed") / pl.col("ended"),
        formula="failed / (completed + failed) requests that ended in the window; "
        "a request cut by the end of the window is neither",
        positive=False,
        hits="failed",
    ),
    Metric(
        id="window_noise_percent",
        title="Noise inside a window",
        unit="%",
        direction="lower",
        grain="window",
        requires=("batch_noise",),
        expression=pl.col("batch_noise") * 100,
        formula="half the 95 % interval of the output throughput as five batches of one window "
        "tell it (logarithms, t with 4 degrees of freedom); a diagnostic, never a stack's interval",
        source="batch means: Law and Carson 1979",
        positive=False,
    ),
)

PHASES = (
    Metric(
        id="prefill_tok_s",
        title="Prefill throughput",
        unit="tok/s",
        direction="higher",
        grain="window",
        requires=("prefill_tokens", "window_s"),
        expression=pl.col("prefill_tokens") / pl.col("window_s"),
        formula="prompt tokens that were computed, none from a cache, of requests whose first "
        "token fell in the window / window length",
    ),
    Metric(
        id="decode_tok_s",
        title="Decode throughput",
        unit="tok/s",
        direction="higher",
        grain="window",
        requires=("decode_tokens", "window_s"),
        expression=pl.col("decode_tokens") / pl.col("window_s"),
        formula="output tokens beyond each request's first whose event fell in the window / window "
        "length",
    ),
    Metric(
        id="prefill_busy_tok_s",
        title="Prefill speed, per busy second",
        unit="tok/s",
        direction="higher",
        grain="window",
        requires=("prefill_tokens", "window_s", "prefill_busy_share"),
        expression=pl.col("prefill_tokens") / pl.col("window_s") / pl.col("prefill_busy_share"),
        formula="prefill tok/s / share of the time that the engine counts as prefill",
        source="seconds: the engine's own counters",
    ),
    Metric(
        id="decode_busy_tok_s",
        title="Decode speed, per busy second",
        unit="tok/s",
        direction="higher",
        grain="window",
        requires=("decode_tokens", "window_s", "decode_busy_share"),
        expression=pl.col("decode_tokens") / pl.col("window_s") / pl.col("decode_busy_share"),
        formula="decode tok/s / share of the time that the engine counts as decode",
        source="seconds: the engine's own counters",
    ),
)

GOODPUT = (
    Metric(
        id="goodput_requests_s",
        title="Goodput",
        unit="req/s",
        direction="higher",
        grain="window",
        requires=("met", "window_s"),
        expression=pl.col("met") / pl.col("window_s"),
        formula="requests that ended in the window * share of them that met every SLO "
        "(slo_attainment) / window length",
        positive=False,
    ),
    Metric(
        id="goodput_tok_s",
        title="Goodput in tokens",
        unit="tok/s",
        direction="higher",
        grain="window",
        requires=("met_tokens", "window_s"),
        expression=pl.col("met_tokens") / pl.col("window_s"),
        formula="output tokens (usage) of requests completed in the window * the share of them in "
        "answers of full length that met every SLO / window length",
        positive=False,
    ),
    Metric(
        id="slo_attainment",
        title="Share of requests that met every SLO",
        unit="1",
        direction="higher",
        grain="window",
        requires=("met", "ended"),
        expression=pl.col("met") / pl.col("ended"),
        formula="requests that met every SLO (from the intended send) / all of full length that "
        "ended in the window, failed ones among them (a stream's first one is shortened)",
        source="interval: Wilson 1927, at the requests' design effect",
        positive=False,
        hits="met",
    ),
)

LATENCY = (
    Metric(
        id="ttft_ms",
        title="Time to first token, mean",
        unit="ms",
        direction="lower",
        grain="request",
        requires=("ttft_ms",),
        expression=_mean("ttft_ms"),
        formula="mean of (first content event - actual send) over requests of full length that "
        "completed in the window (a stream's first one is shortened)",
    ),
    Metric(
        id="ttft_intended_ms",
        title="Time to first token from intended send, mean",
        unit="ms",
        direction="lower",
        grain="request",
        requires=("ttft_intended_ms",),
        expression=_mean("ttft_intended_ms"),
        formula="mean of (first content event - intended send): includes the client's own delay",
    ),
    _percentile("ttft_ms", "ttft", "Time to first token", 0.5),
    _percentile("ttft_ms", "ttft", "Time to first token", 0.9),
    _percentile("ttft_ms", "ttft", "Time to first token", 0.99),
    *(
        _percentile("ttft_intended_ms", "ttft_intended", f"Time to first token{_INTENDED}", p)
        for p in (0.5, 0.9, 0.99)
    ),
    Metric(
        id="tpot_ms",
        title="Time per output token, mean",
        unit="ms",
        direction="lower",
        grain="request",
        requires=("tpot_ms",),
        expression=_mean("tpot_ms"),
        formula="mean over requests of (E2E - TTFT) / (output tokens - 1)",
    ),
    *(_percentile("tpot_ms", "tpot", "Time per output token", p) for p in (0.5, 0.9, 0.99)),
    Metric(
        id="interactivity_tok_s_user",
        title="Interactivity",
        unit="tok/s/user",
        direction="higher",
        grain="request",
        requires=("tpot_ms",),
        expression=1000 / _mean("tpot_ms"),
        formula="1 / mean TPOT",
    ),
    Metric(
        id="e2e_ms",
        title="End-to-end latency, mean",
        unit="ms",
        direction="lower",
        grain="request",
        requires=("e2e_ms",),
        expression=_mean("e2e_ms"),
        formula="mean of (last content event - actual send)",
    ),
    _percentile("e2e_ms", "e2e", "End-to-end latency", 0.5),
    _percentile("e2e_ms", "e2e", "End-to-end latency", 0.99),
    *(
        _percentile("e2e_intended_ms", "e2e_intended", f"End-to-end latency{_INTENDED}", p)
        for p in (0.5, 0.9, 0.99)
    ),
)

PHYSICAL: tuple[Metric, ...] = (*THROUGHPUT, *PHASES, *GOODPUT, *LATENCY, *ENERGY)
"""What no price goes into."""
METRICS: tuple[Metric, ...] = (*PHYSICAL, *COST)
BY_ID = {metric.id: metric for metric in METRICS}
