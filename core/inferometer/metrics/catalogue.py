"""The metrics there are.

Columns of the grains are made in :mod:`inferometer.metrics.windows` (``request``, ``window``),
:mod:`inferometer.metrics.goodput` and :mod:`inferometer.metrics.shares` (``meter``). Definitions
are the design's: a token counts where its event fell, a request counts where its last event fell, a
failed request is unfinished.
"""

from __future__ import annotations

import polars as pl

from inferometer.energy.carbon import J_PER_KWH
from inferometer.metrics.declaration import Metric

_FINISHED = pl.col("finished")
_INTENDED = " from intended send"


def _mean(column: str) -> pl.Expr:
    """Return the mean over finished requests; the failed ones are told by ``error_rate``."""
    return pl.col(column).filter(_FINISHED).mean()


def _quantile(column: str, p: float) -> pl.Expr:
    """Return the p-quantile (an observed value, never between two); failures count as +inf."""
    return pl.col(column).quantile(p, interpolation="higher")


def _percentile(column: str, name: str, words: str, p: float) -> Metric:
    short = f"p{round(p * 100)}"
    return Metric(
        id=f"{name}_{short}_ms",
        title=f"{words}, {short}",
        unit="ms",
        direction="lower",
        grain="request",
        requires=(column,),
        expression=_quantile(column, p),
        formula=f"{short} over requests that ended in the window; a failed one counts as +inf",
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
        formula="requests completed in the window that met every SLO / window length",
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
        formula="output tokens (usage) of those requests / window length",
        positive=False,
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
        formula="mean of (first content event - actual send) over requests completed in the window",
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

ENERGY = (
    Metric(
        id="energy_j_per_output_token",
        title="Energy per output token",
        unit="J/token",
        direction="lower",
        grain="meter",
        requires=("energy_j", "output_tokens"),
        expression=pl.col("energy_j") / pl.col("output_tokens"),
        formula="joules in the window / output tokens in the same window (gross, meter's scope)",
    ),
    Metric(
        id="energy_j_per_total_token",
        title="Energy per token, input and output",
        unit="J/token",
        direction="lower",
        grain="meter",
        requires=("energy_j", "input_tokens", "output_tokens"),
        expression=pl.col("energy_j") / (pl.col("input_tokens") + pl.col("output_tokens")),
        formula="joules in the window / (input + output tokens) in the same window",
    ),
    Metric(
        id="output_tokens_per_j",
        title="Output tokens per joule (per watt-second)",
        unit="token/J",
        direction="higher",
        grain="meter",
        requires=("energy_j", "output_tokens"),
        expression=pl.col("output_tokens") / pl.col("energy_j"),
        formula="output tokens in the window / joules in the same window",
    ),
    Metric(
        id="tok_s_per_kw",
        title="Output throughput per kilowatt",
        unit="tok/s/kW",
        direction="higher",
        grain="meter",
        requires=("energy_j", "output_tokens"),
        expression=pl.col("output_tokens") / pl.col("energy_j") * 1e3,
        formula="output tok/s / (mean power in kW): 1,000 times the tokens per joule",
    ),
    Metric(
        id="tok_s_per_mw",
        title="Output throughput per megawatt",
        unit="tok/s/MW",
        direction="higher",
        grain="meter",
        requires=("energy_j", "output_tokens"),
        expression=pl.col("output_tokens") / pl.col("energy_j") * 1e6,
        formula="output tok/s / (mean power in MW), of the power in this meter's scope",
    ),
    Metric(
        id="output_tokens_per_kwh",
        title="Output tokens per kilowatt-hour",
        unit="token/kWh",
        direction="higher",
        grain="meter",
        requires=("energy_j", "output_tokens"),
        expression=pl.col("output_tokens") / pl.col("energy_j") * J_PER_KWH,
        formula="output tokens per joule * 3.6e6 J/kWh",
    ),
    Metric(
        id="energy_j_per_request",
        title="Energy per request",
        unit="J/request",
        direction="lower",
        grain="meter",
        requires=("energy_j", "completed"),
        expression=pl.col("energy_j") / pl.col("completed"),
        formula="joules in the window / requests whose last event fell in the window",
    ),
    Metric(
        id="energy_j_per_good_request",
        title="Energy per good request",
        unit="J/request",
        direction="lower",
        grain="meter",
        requires=("energy_j", "good"),
        expression=pl.col("energy_j") / pl.col("good"),
        formula="joules in the window / requests completed in it that met every SLO; what the "
        "others used counts as well",
    ),
    Metric(
        id="mean_power_w",
        title="Mean power",
        unit="W",
        direction="lower",
        grain="meter",
        requires=("energy_j", "window_s"),
        expression=pl.col("energy_j") / pl.col("window_s"),
        formula="joules in the window / window length",
    ),
    Metric(
        id="peak_power_w",
        title="Peak power",
        unit="W",
        direction="lower",
        grain="meter",
        requires=("peak_w",),
        expression=pl.col("peak_w"),
        formula="mean of the window's highest second, all devices together",
    ),
    Metric(
        id="power_share",
        title="Power over limit",
        unit="1",
        direction="lower",
        grain="meter",
        requires=("energy_j", "window_s", "power_limit_w"),
        expression=pl.col("energy_j") / pl.col("window_s") / pl.col("power_limit_w"),
        formula="mean power / sum of the devices' enforced power limits",
    ),
    Metric(
        id="energy_pm_percent",
        title="Plus-minus of the joules",
        unit="%",
        direction="lower",
        grain="meter",
        requires=("energy_j", "energy_pm_j"),
        expression=pl.col("energy_pm_j") / pl.col("energy_j") * 100,
        formula="uncertainty of the window's edges and of sampling / joules in the window; the "
        "sensor's own bias (about 5 % on accelerators) is not in it",
        positive=False,
    ),
    Metric(
        id="net_bare_j_per_output_token",
        title="Energy per output token, net of bare idle",
        unit="J/token",
        direction="lower",
        grain="meter",
        requires=("net_bare_j", "output_tokens"),
        expression=pl.col("net_bare_j") / pl.col("output_tokens"),
        formula="(joules in the window - window length * watts before the engine was started) / "
        "output tokens; secondary, never ranked",
    ),
    Metric(
        id="net_loaded_j_per_output_token",
        title="Energy per output token, net of loaded idle",
        unit="J/token",
        direction="lower",
        grain="meter",
        requires=("net_loaded_j", "output_tokens"),
        expression=pl.col("net_loaded_j") / pl.col("output_tokens"),
        formula="(joules in the window - window length * watts with the model resident and no "
        "request) / output tokens; secondary, never ranked",
    ),
    Metric(
        id="host_share",
        title="Host's share of the energy",
        unit="1",
        direction="lower",
        grain="meter",
        requires=("energy_j", "host_j"),
        expression=pl.col("host_j") / (pl.col("energy_j") + pl.col("host_j")),
        formula="joules of the host / (joules of the accelerators + of the host)",
    ),
    Metric(
        id="carbon_g_per_mtok_output",
        title="Carbon per million output tokens",
        unit="gCO2e/Mtok",
        direction="lower",
        grain="meter",
        requires=("carbon_g", "output_tokens"),
        expression=pl.col("carbon_g") / pl.col("output_tokens") * 1e6,
        formula="kWh in the window * declared PUE * declared g/kWh / output tokens * 1e6; what "
        "making the hardware emitted is not in it",
    ),
)

COST = (
    Metric(
        id="usd_per_mtok_output",
        title="Cost per million output tokens",
        unit="USD/Mtok",
        direction="lower",
        grain="window",
        requires=("usd_per_hour", "output_tokens", "window_s"),
        expression=pl.col("usd_per_hour")
        / 3600
        * pl.col("window_s")
        / pl.col("output_tokens")
        * 1e6,
        formula="price per hour / 3600 / output tok/s * 1e6: the whole bill on output tokens",
    ),
    Metric(
        id="usd_per_mtok_total",
        title="Cost per million tokens, input and output",
        unit="USD/Mtok",
        direction="lower",
        grain="window",
        requires=("usd_per_hour", "input_tokens", "output_tokens", "window_s"),
        expression=pl.col("usd_per_hour")
        / 3600
        * pl.col("window_s")
        / (pl.col("input_tokens") + pl.col("output_tokens"))
        * 1e6,
        formula="price per hour / 3600 / total tok/s * 1e6",
    ),
)

METRICS: tuple[Metric, ...] = (*THROUGHPUT, *GOODPUT, *LATENCY, *ENERGY, *COST)
BY_ID = {metric.id: metric for metric in METRICS}
