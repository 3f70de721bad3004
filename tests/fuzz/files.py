"""Targets that read files which people and other programs write."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from tests.fuzz.base import Target, put, require

from inferometer import failing, model, prices, study, told, workload
from inferometer.architecture import Config, Tensors, describe
from inferometer.baseline import margins
from inferometer.cost import reading as scenario
from inferometer.errors import UsageError
from inferometer.importer import ForeignFile, Source, sealed
from inferometer.meter import MeterContext
from inferometer.workloads import datasets, traces
from inferometer_engines import sglang, tensorrt_llm, vllm
from inferometer_plugins.calibration import file as calibration
from inferometer_plugins.importers import aiperf, guidellm, inferencex, sglang_bench, vllm_bench
from inferometer_plugins.meters.csv_file import CsvFile
from inferometer_plugins.meters.replay import Replay
from inferometer_plugins.meters.sensing import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
USAGE = (UsageError,)
TODAY = date(2026, 11, 1)


def from_path(name: str, read: Callable[[Path], Any]) -> Callable[[bytes], None]:
    """Return a feed for a reader of a path; ``name`` is the file's."""

    def feed(data: bytes) -> None:
        read(put(name, data))

    return feed


def _study(path: Path) -> None:
    found = study.load(path)
    if not path.stat().st_size % 8:  # writing one takes longer than all the rest
        said = study.dump(found)
        require(study.dump(study.parse(said, "again")) == said, "a study that does not come back")


def _config(path: Path) -> None:
    described = describe(Config(path), Tensors(elements=1000, dtype="bfloat16"))
    msgspec.json.encode(described)


def _tensors(path: Path) -> None:
    found = model.read_tensors([path])
    require(0 <= found.expert_elements <= found.elements, "more elements of experts than in all")


def _dataset(path: Path) -> None:
    datasets.read(path, len)


def _trace(path: Path) -> None:
    offsets = [row.offset_s for row in traces.read(path).rows]
    require(offsets == sorted(offsets) and offsets[0] == 0, "rows that are out of order")


def _log(path: Path) -> None:
    failing.first_exception(path)
    failing.log_tail(path)
    for adapter in (vllm, sglang, tensorrt_llm):
        msgspec.json.encode(told.told(adapter.SAYS, {}, path))


def _tokenizer(path: Path) -> None:
    workload.load_tokenizer.__wrapped__(path)


def _prices(path: Path) -> None:
    prices.read(path, as_of=TODAY)


def _index(path: Path) -> None:
    path.with_name("x.safetensors").touch()  # the kept index names it
    model.weight_files(path.parent)


CSV = {"time": "t", "time_format": "epoch_s", "value": "power_w", "unit": "W", "scope": "L2"}
SMI = {
    "time": "timestamp",
    "time_format": "%Y/%m/%d %H:%M:%S.%f",
    "utc_offset": "+00:00",
    "value": "power.draw",
    "unit": "W",
    "scope": "L0",
    "device": "uuid",
}


def _csv(path: Path) -> None:
    for options in (CSV, SMI):
        context = MeterContext(
            session_id=None,
            cpu_seconds=float,
            accelerators=1,
            options={"path": str(path), **options},
        )
        meter = CsvFile()
        msgspec.json.encode(meter.info(context))
        try:
            session = meter.open(context)
            session.at = session.at // 2  # type: ignore[attr-defined]  # so that there are rows
            msgspec.json.encode(session.read())
        except Unreadable:
            continue


def _replay(path: Path) -> None:
    context = MeterContext(session_id=None, cpu_seconds=float, options={"path": str(path)})
    msgspec.json.encode(Replay().info(context))
    Replay().open(context).read()


def _imported(module: ModuleType, *names: str) -> Callable[[bytes], None]:
    """Return a feed for an importer: of a file, and the golden files that belong to it."""

    def feed(data: bytes) -> None:
        sources = [Source(names[0], "/", data)]
        sources += [Source(name, "/", _golden(f"aiperf/{name}")) for name in names[1:]]
        msgspec.json.encode(sealed(module.read(sources), "", ""))

    return feed


def _golden(name: str) -> bytes:
    path = TESTS / "golden" / "importers" / name
    if path not in _kept:
        _kept[path] = path.read_bytes()
    return _kept[path]


_kept: dict[Path, bytes] = {}


def _books() -> Sequence[bytes]:
    folder = ROOT / "plugins/inferometer_plugins/prices"
    whole = [path.read_bytes() for path in sorted(folder.glob("*.toml"))]
    heads = [b"".join(part + b"[[prices]]" for part in it.split(b"[[prices]]")[:3]) for it in whole]
    return [head.removesuffix(b"[[prices]]") for head in heads]


def _scenario() -> Sequence[bytes]:
    return [(ROOT / "core/inferometer/templates/cost.toml").read_bytes()]


def _configs() -> Sequence[bytes]:
    known = msgspec.json.decode((TESTS / "golden/models.json").read_bytes())
    entries: Iterable[Any] = known.values() if isinstance(known, dict) else known
    found = [it.get("config", it) for it in entries if isinstance(it, dict)]
    return [msgspec.json.encode(it) for it in found]


def _short(value: Any) -> Any:
    """Return a JSON value whose lists have one entry and whose texts are short."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value[:1]]
    return value[:40] if isinstance(value, str) else value


def _of(name: str) -> Callable[[], Sequence[bytes]]:
    def seeds() -> Sequence[bytes]:
        content = _golden(name)
        if name.endswith(".jsonl"):
            lines = content.splitlines()[:2]
            return ["\n".join(json.dumps(_short(json.loads(it))) for it in lines).encode()]
        return [json.dumps(_short(json.loads(content))).encode()]

    return seeds


FOREIGN = (ForeignFile,)
AIPERF = ("profile_export.jsonl", "profile_export_aiperf.json")
TARGETS = (
    Target("study", from_path("s.toml", _study), USAGE, "toml"),
    Target("prices", from_path("p.toml", _prices), USAGE, "toml", _books),
    Target("scenario", from_path("c.toml", scenario.load), USAGE, "toml", _scenario),
    Target("gate-rules", from_path("g.toml", margins.load), USAGE, "toml"),
    Target("trace", from_path("t", _trace), USAGE, "lines"),
    Target("lengths", from_path("d", _dataset), USAGE, "lines"),
    Target("config", from_path("config.json", _config), USAGE, "json", _configs),
    Target("safetensors", from_path("x.safetensors", _tensors), USAGE, "bytes"),
    Target("weights-index", from_path("model.safetensors.index.json", _index), USAGE, "json"),
    Target("tokenizer", from_path("tokenizer.json", _tokenizer), USAGE, "json"),
    Target("aiperf", _imported(aiperf, AIPERF[1]), FOREIGN, "json", _of(f"aiperf/{AIPERF[1]}")),
    Target(
        "aiperf-requests", _imported(aiperf, *AIPERF), FOREIGN, "lines", _of(f"aiperf/{AIPERF[0]}")
    ),
    Target("guidellm", _imported(guidellm, "g.json"), FOREIGN, "json"),
    Target("inferencex", _imported(inferencex, "a.json"), FOREIGN, "json"),
    Target(
        "sglang-bench",
        _imported(sglang_bench, "s.jsonl"),
        FOREIGN,
        "lines",
        _of("sglang-bench.jsonl"),
    ),
    Target("vllm-bench", _imported(vllm_bench, "v.json"), FOREIGN, "json", _of("vllm-bench.json")),
    Target("calibration", from_path("cal.json", calibration.read), USAGE, "json"),
    Target("engine-log", from_path("server.log", _log), (), "text"),
    Target("power-log", from_path("power.csv", _csv), USAGE, "text"),
    Target("recorded-readings", from_path("readings.jsonl", _replay), USAGE, "lines"),
)
