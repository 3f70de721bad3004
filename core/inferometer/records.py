"""What a measurement leaves behind: the rows and files of the results directory.

Times are integer nanoseconds of one host's monotonic clock (``time.monotonic_ns``); the manifest
holds one pair of wall and monotonic readings, so that they can be dated. Unknown is None, never 0.
"""

from __future__ import annotations

import struct
from typing import Any, Literal

from msgspec import Struct

from inferometer.load_records import LoadHost
from inferometer.look_records import LeftOut

SCHEMA = 2
"""Version of the results directory; what each one is says :mod:`inferometer.store`."""

CHUNK = struct.Struct("<IHHq")
"""One streamed content event: request index, tokens in it, flags, arrival time in ns. 16 bytes."""
CHUNK_COUNT_UNKNOWN = 1
"""Flag: the engine did not say how many tokens this chunk holds (``tokens`` is 0)."""
NOT_ENGINES = frozenset({"simulated", "fixture"})
"""Values of ``environment.kind`` of a launch that mean that no real engine was run."""

RequestStatus = Literal["ok", "error", "cut"]
Phase = Literal["probe", "warmup", "stagger", "load"]
"""``stagger``: the first request of a stream, which stands for one that began earlier: what that
would have made by then is in its prompt, so that the streams are of all ages."""


class Request(Struct, frozen=True, kw_only=True):
    """One call: a line of ``requests.jsonl``.

    ``cut`` means that the window closed before the answer ended: neither success nor error.
    ``tokens_from`` says where the per-chunk counts come from: ``ids`` (token ids in each chunk),
    ``usage`` (continuous usage), or ``none`` (only the final usage is known).
    """

    index: int
    load_point: int
    phase: Phase
    stream: int
    prompt: int
    intended_ns: int
    sent_ns: int
    first_ns: int | None = None
    last_ns: int | None = None
    end_ns: int | None = None
    status: RequestStatus = "ok"
    http_status: int | None = None
    error: str | None = None
    finish_reason: str | None = None
    input_tokens_expected: int
    output_tokens_expected: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    chunks: int = 0
    tokens_from: Literal["ids", "usage", "none"] = "none"
    output_sha256: str | None = None


class Window(Struct, frozen=True, kw_only=True):
    """The measured interval of one load point in one launch: ``launch.json``, ``windows``."""

    load_point: int
    workload: str
    load: str
    concurrency: int | None = None
    """Streams of a closed loop; null for an open one."""
    arrivals: str = ""
    """Arrival process of an open loop (``poisson``, ``trace``, ...); empty for a closed one."""
    rate: float | None = None
    """Requests/s an open loop was asked for; null for a closed one and for a trace."""
    start_ns: int
    end_ns: int
    discarded_ns: int
    """From the first send of the load to ``start_ns``."""
    residence_s: float | None = None
    """Mean duration of the warm-up's answers after the first (of it, if alone); null without."""
    work_sha256: str
    """Hash of the prompts' token ids and pinned lengths: equal across stacks or not comparable."""
    prompts: int
    """Distinct prompts prepared; more requests than this means that prompts were reused."""
    cache: Literal["cold", "warm"] = "cold"
    """Whether the prompts share beginnings by design."""
    reuse: float = 0.0
    """Share of all prompt tokens that a perfect prefix cache need not compute; 0 when cold."""
    conversations: bool = False
    """Whether a stream sends the turns of one conversation in a row before it takes another."""
    think_s: float = 0.0
    """Pause before a conversation's later turns: fewer requests than streams are in flight."""
    client_cpu_s: float
    """Processor time of the client inside the window, over all its worker processes."""
    workers: int = 1
    """Processes that sent the load."""
    load_hosts: list[LoadHost] = []
    """Where the load came from; empty: from the machine that measured."""
    others_cpu_share: float | None = None
    """Share (0 to 1) of all processors that something else kept busy; null when not seen."""
    loop_lag_p99_ms: float | None
    send_lag_p99_ms: float | None
    """Null when nothing fell into the window that could show it."""
    clock_step_ms: float | None = None
    """By how much the wall clock gained on the monotonic one from start to end."""
    cache_reset: Literal["", "none", "done", "refused"] = ""
    """What came of emptying the prefix cache before this load: ``none`` when the engine cannot,
    empty when it was not asked to (a warm cache, or results before it was recorded)."""
    counters: dict[str, float] = {}
    """By how much the engine's counters grew, by their names in ``engine.QUANTITIES``, between two
    readings just before ``start_ns`` and just after ``end_ns``."""
    counters_start_ns: int | None = None
    counters_end_ns: int | None = None
    """The middle of each reading."""
    counters_slack_ms: float | None = None
    """How far from these times, together, the engine may have counted."""
    requests_running: float | None = None
    """As the engine told it at the first reading, under load; null where it tells none."""
    counters_reason: str | None = None
    """Why there are none; null when they are there, and in results before they were recorded."""
    counters_detail: str = ""
    retokenised: int | None = None
    """Tokens that the model's tokenizer finds in the texts of a sample of finished requests."""
    retokenised_usage: int | None = None
    """Tokens that ``usage`` states for the same sample."""


class Reading(Struct, frozen=True, kw_only=True):
    """One look at a meter: a line of ``readings.jsonl``.

    ``value`` is cumulative joules (unit ``J``) or watts (unit ``W``).
    """

    meter: str
    device: str
    t_ns: int
    value: float
    unit: Literal["J", "W"]
    since_ns: int | None = None
    """Of a counter: it stood at its former value at this look, so it ticked between the two. Set
    where the meter was watched closely, at a window's edges."""


class Device(Struct, frozen=True, kw_only=True):
    """One device that a meter covers, or has left out: part of :class:`MeterInfo`."""

    name: str
    """As in :class:`Reading`, for example ``GPU-4f1c...``, ``package-0``, ``dram-0``."""
    model: str = ""
    """As the driver says it, for example ``NVIDIA H200``."""
    index: int | None = None
    power_limit_w: float | None = None
    """The enforced limit; what a share of power is a share of."""
    left_out: str = ""
    """Why its readings must not be added up (``not under test``, ``contains package-0``); empty
    for a device that counts."""


class MeterInfo(Struct, frozen=True, kw_only=True):
    """A meter that was asked for, whether it could be read or not.

    ``reason`` is set (and no reading exists) when it could not: ``no_sensor``, ``no_permission``.
    """

    name: str
    scope: Literal["L0", "L1", "L2", "L3", "L4"]
    kind: Literal["measured", "estimated", "declared", "simulated"]
    method: str
    """One sentence: what is read or assumed, from where."""
    follows_throughput: bool = False
    """True when J/token is throughput relabelled (a constant wattage)."""
    instrument: Literal["", "counter", "power", "model"] = ""
    """``counter``: cumulative joules; ``power``: watts to be integrated; ``model``: computed, no
    sensor. Empty in results before it was recorded."""
    boundary: str = ""
    """What is inside, where the scope's letter does not say it: ``module`` (accelerator and host
    processor on one board), ``package``, ``package + DRAM``. Two boundaries share no rank."""
    devices: list[Device] = []
    update_ms: float | None = None
    """How often the sensor has a new value, as probed; None when it was not seen to change."""
    period_s: float = 0.5
    """How often it is read."""
    averaged_ms: float | None = None
    """The stretch each value is a mean of, where known (NVML's default power: 1000)."""
    seen_share: float | None = None
    """Share of the time the sensor looks at, where known: an A100's sees 25 ms of every 100."""
    resolution: float | None = None
    """Smallest step of a value, in the readings' unit."""
    permission: str = ""
    """What reading it takes, in words: ``none``, ``root``, ``group``."""
    reason: str | None = None
    detail: str = ""


class Condition(Struct, frozen=True, kw_only=True):
    """The state a device was in at one look: a line of ``conditions.jsonl``. Unknown is None."""

    meter: str
    device: str
    t_ns: int
    temperature_c: float | None = None
    power_limit_w: float | None = None
    clock_mhz: float | None = None
    """Of the compute units."""
    memory_clock_mhz: float | None = None
    utilisation: float | None = None
    """0 to 1, as the driver says it."""
    throttled: list[str] = []
    """Reasons for which clocks are held down, in the driver's words, lower case:
    ``power_cap``, ``thermal``, ``hardware_slowdown``, ``power_brake``, ``sync_boost``."""


class Idle(Struct, frozen=True, kw_only=True):
    """A stretch without load: ``launch.json``, ``idles``.

    ``bare``: before the engine was started. ``loaded``: the model resident, no request in flight.
    """

    state: Literal["bare", "loaded"]
    start_ns: int
    end_ns: int


class Soak(Struct, frozen=True, kw_only=True):
    """The load before the first load point: ``launch.json``, ``soak``."""

    workload: str
    load: str
    seconds: float
    """From the first send, the warm-up before it left out."""
    chunks_s: list[float]
    """Streamed events a second, each over 5 s."""
    settled: bool
    """Whether the last three differ by 5 % at most."""


class Cooling(Struct, frozen=True, kw_only=True):
    """The wait before a launch: ``launch.json``, ``cooling``. Temperatures are in degrees C."""

    seconds: float
    start_c: dict[str, float]
    """Of each accelerator when the wait began."""
    end_c: dict[str, float]
    warm: list[str] = []
    """Those that were still more than 3 degrees warmer than when the round's first one began."""


class Probe(Struct, frozen=True, kw_only=True):
    """Greedy continuations of fixed prompts, for output parity: a line of ``probes.jsonl``."""

    prompt: int
    prompt_tokens: int | None
    text: str
    token_ids: list[int]
    """From the engine where it tells, else the text tokenised again."""
    ids_from: Literal["engine", "retokenised"]
    text_ids: list[int] | None = None
    """The text tokenised again, where that differs from ``token_ids``: to compare with an engine
    that tells text alone."""


class Score(Struct, frozen=True, kw_only=True):
    """How likely a model finds the tokens of a fixed text: a line of ``scores.jsonl``.

    Scores are comparable at equal ``text_sha256``: the context of every token is then the same,
    whatever an engine would have answered.
    """

    prompt: int
    text_sha256: str
    """Hash of the text's token ids."""
    logprobs: list[float]
    """Natural logarithms, of the second token to the last."""


class Failure(Struct, frozen=True, kw_only=True):
    """Why a launch failed: reason code, stage, message, next step, and the last log lines."""

    reason: str
    stage: str
    message: str
    hint: str = ""
    log_tail: list[str] = []


class Retried(Struct, frozen=True, kw_only=True):
    """An attempt at a launch that failed by a cause that may pass: ``launch.json``, ``retried``."""

    reason: str
    stage: str


class Prior(Struct, frozen=True, kw_only=True):
    """What earlier launches on this machine say of one contest: a line of ``priors.jsonl``."""

    metric: str
    meter: str | None
    model: str
    workload: str
    load: str
    simulated: bool
    """Whether no engine was run in them; simulated launches say nothing of measured ones."""
    launches: int
    studies: int
    variance: float | None
    """Of the logarithm of one launch's value; None where the launches are too few to say."""
    df: float
    """Degrees of freedom that it is worth."""


class Told(Struct, frozen=True, kw_only=True):
    """One thing an engine or an instrument says of a launch, or the reason why it is not known."""

    value: str | bool | int | float | None = None
    source: str = ""
    """Dotted path in the engine's answer, ``server.log``, or the instrument."""
    reason: str | None = None
    detail: str = ""


class LaunchRecord(Struct, frozen=True, kw_only=True):
    """One launch: ``launches/<id>/launch.json``. Its presence means that the launch is whole.

    ``stack`` and ``model`` are the plan's own (see :mod:`inferometer.plan`).
    """

    schema: int = SCHEMA
    id: str
    plan_sha256: str
    round: int
    position: int
    """Place in the running order of the whole plan, from 0."""
    node: str | None = None
    """Which of several machines made it: ``node-1``, ... (no machine's own name: results are
    published), as listed in ``host.json``. None where one machine made all. Nodes are a block, as
    rounds are: a launch is compared with the launches of its round on its node."""
    nodes: int = 1
    """On so many the engine ran, ``node`` with rank 0 among them; one launch, not several."""
    stack: dict[str, Any]
    """``id``, ``engine``, ``engine_version``, ``profile``, ``precision``, ``parallelism``,
    ``label``."""
    model: dict[str, Any]
    """``name``, ``path``, ``sha256``, ``architecture`` (dense or moe), ``total_parameters``, ..."""
    status: Literal["ok", "failed"]
    failure: Failure | None = None
    started_ns: int
    ended_ns: int
    ended_wall_ns: int | None = None
    """``ended_ns`` on the wall clock (ns since 1970), for dating only."""
    ready_s: float | None = None
    peak_memory_bytes: int | None = None
    port: int | None = None
    command: list[str] = []
    environment_variables: dict[str, str] = {}
    instrument_variables: dict[str, str] = {}
    """Set for the measurement only; not part of how the stack should be run."""
    inherited_variables: dict[str, str] = {}
    """Variables of ours that the engine saw and that may change it, such as
    ``CUDA_VISIBLE_DEVICES``; of those named in ``pass_env`` the value is hidden."""
    environment: dict[str, Any] = {}
    """``kind``, ``sha256``, ``python``, ``distributions``."""
    resolved_configuration: dict[str, Any] = {}
    asked: dict[str, Any] = {}
    """How the model was to be served: every field of :class:`inferometer.engine.LaunchSpec` that
    the study, its profile or a search set."""
    told: dict[str, Told] = {}
    """What the engine says that it resolved, by the same fields and ``engine.OUTCOMES``."""
    peak_device_memory: Told | None = None
    """Bytes on all accelerators at the worst sample; None in results before it was recorded."""
    precision: dict[str, str] = {}
    """What was computed with: ``dtype``, and where not the model's own ``quantization`` (of the
    weights) and ``kv_cache_dtype``. As the engine says, else as it was asked."""
    windows: list[Window] = []
    left_out: list[LeftOut] = []
    meters: list[MeterInfo] = []
    idles: list[Idle] = []
    soak: Soak | None = None
    cooling: Cooling | None = None
    """None where there was no soak, no temperature to be read, and before they were recorded."""
    retried: list[Retried] = []
    """Attempts in the same run before this one, oldest first; each is in ``failed/``."""
    device_memory_returned: Told | None = None
    """Seconds after the engine's end until the accelerators' memory was as before its start; None
    where none was looked at, and in results before it was recorded."""
    host_sha256: str = ""
