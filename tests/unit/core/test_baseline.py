"""Results against a baseline: what differs, every pair of numbers, and the gate."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scipy.stats import ttest_ind
from tests.benchmarks import gate_power

from inferometer import cli
from inferometer.baseline import Asked, Rules, against, apart, margins
from inferometer.baseline.apart import topic_of
from inferometer.comparison.versus import Gate, Judged, Line, Versus
from inferometer.errors import StudyError, UsageError
from inferometer.records import LaunchRecord
from inferometer.store import decode, encode
from inferometer.testing.results import METER, Fixture, write_results
from inferometer.uncertainty import welch

pytestmark = pytest.mark.computing
Capture = pytest.CaptureFixture[str]
HOST = {"gpus": ["H100"], "gpu_driver": "550", "boot_sha256": "one"}
NOISE = (1.0, 1.01, 0.99, 1.005, 0.995)
"""What the launches of every stack are by; 0.8 % from launch to launch."""


def write(root: Path, rate: float = 40.0, noise: tuple[float, ...] = NOISE, **options: Any) -> Path:
    drift = {("a", index): factor for index, factor in enumerate(noise)}
    later = 100 * ord(root.name[0])  # else they were taken for copies
    told = {"rates": {"a": rate}, "rounds": len(noise), "host": HOST, "later_s": later, **options}
    return write_results(root, Fixture(drift=drift, **told)).root


def compared(baseline: Path, current: Path, **asked: Any) -> Versus:
    return against(Asked(baseline=baseline, current=current, **asked))


def gated(baseline: Path, current: Path, **asked: Any) -> Gate:
    rules = Rules(**{key: asked.pop(key) for key in ("margins", "detect") if key in asked})
    found = compared(baseline, current, gate=rules, **asked).gate
    assert found is not None
    return found


def line(versus: Versus, metric: str = "output_tok_s") -> Line:
    (found,) = [one for one in versus.lines if one.metric == metric]
    return found


def judged(gate: Gate, metric: str = "output_tok_s") -> Judged:
    (found,) = [one for one in gate.lines if one.line.metric == metric]
    return found


def edit_host(root: Path, **fields: Any) -> None:
    path = root / "host.json"
    path.write_bytes(encode(decode(path, dict[str, Any]) | fields))


def resent(root: Path) -> Path:
    """Make it so that other prompts were sent in the first window of every launch."""
    for path in root.glob("launches/*/launch.json"):
        record = decode(path, LaunchRecord)
        other = msgspec.structs.replace(record.windows[0], work_sha256="f" * 64)
        windows = [other, *record.windows[1:]]
        path.write_bytes(encode(msgspec.structs.replace(record, windows=windows)))
    return root


# -- the interval ------------------------------------------------------------------------


def test_the_interval_is_welchs_on_logarithms() -> None:
    one, other = [10.0, 11.0, 12.0], [13.0, 16.0, 15.0, 14.0]
    found = welch.independent(one, other)
    logs = [[math.log(value) for value in side] for side in (one, other)]
    theirs = ttest_ind(logs[1], logs[0], equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    assert found.half_width is not None
    assert found.df == pytest.approx(theirs.df)
    assert (found.value - found.half_width, found.value + found.half_width) == pytest.approx(
        (low, high)
    )
    assert found.n == 3


def test_one_launch_has_no_interval_and_equal_ones_a_narrow_one() -> None:
    assert welch.independent([10.0], [11.0, 12.0]).half_width is None
    same = welch.independent([10.0, 10.0], [11.0, 11.0])
    assert same.half_width == 1e-9
    with pytest.raises(ValueError, match="not positive"):
        welch.independent([0.0], [1.0])


def test_pairs_take_out_what_a_round_does_to_both() -> None:
    rounds = [10.0, 20.0, 40.0]
    found = welch.paired(rounds, [1.1 * value for value in rounds])
    assert found.value == pytest.approx(math.log(1.1))
    assert found.half_width == pytest.approx(0.0, abs=1e-6)


# -- compare -----------------------------------------------------------------------------


def test_a_faster_stack_is_better_and_itself_is_a_tie(tmp_path: Path) -> None:
    base, fast = write(tmp_path / "a"), write(tmp_path / "b", 44.0)
    again = write(tmp_path / "c", noise=(1.001, 1.0, 0.999, 1.0, 1.0))
    found = line(compared(base, fast))
    assert found.verdict == "better"
    assert found.ratio.value == pytest.approx(1.1, rel=0.02)
    assert found.ratio.n == found.baseline.n == 5
    assert line(compared(fast, base)).verdict == "worse"
    assert line(compared(base, again)).verdict == "tie"
    # half the tokens a second at one wattage: twice the joules
    energy = line(compared(base, fast), "energy_j_per_output_token")
    assert energy.ratio.value == pytest.approx(1 / 1.1, rel=0.02)
    assert energy.verdict == "better"


def test_rounds_of_two_directories_are_never_paired(tmp_path: Path) -> None:
    """Paired, every ratio would be 1.02 and the interval nothing."""
    drift = (0.8, 0.9, 1.0, 1.1, 1.2)
    base = write(tmp_path / "a", noise=drift)
    now = write(tmp_path / "b", noise=tuple(1.02 * factor for factor in drift))
    found = line(compared(base, now))
    assert found.verdict == "undecided"
    assert found.ratio.low is not None
    assert found.ratio.low < 0.9


def test_two_stacks_of_one_directory_are_paired_by_round(tmp_path: Path) -> None:
    drift = {(s, i): f for s in ("old", "new") for i, f in enumerate((0.8, 0.9, 1.0, 1.1, 1.2))}
    rates = {"old": 40.0, "new": 42.0}
    root = write_results(tmp_path / "r", Fixture(rates=rates, drift=drift, rounds=5)).root
    found = compared(root, root, pairs={"new": "old"})
    assert found.paired
    assert line(found).verdict == "better"
    assert (line(found).stack, line(found).baseline_stack) == ("new", "old")
    with pytest.raises(UsageError, match="given twice"):
        compared(root, root)
    with pytest.raises(UsageError, match="no stack named 'nwe'"):
        compared(root, root, pairs={"nwe": "old"})


def test_rounds_that_only_one_stack_has_make_no_pair(tmp_path: Path) -> None:
    lost = frozenset({("old", 0), ("new", 1)})
    made = Fixture(rates={"old": 40.0, "new": 42.0}, rounds=2, failed=lost)
    root = write_results(tmp_path / "r", made).root
    found = line(compared(root, root, pairs={"new": "old"}))
    assert (found.verdict, found.reason) == ("not_judged", "too_few_samples")
    assert found.detail == "no round has a number on both sides"


@pytest.mark.parametrize(
    ("fields", "topic", "what"),
    [
        ({"gpu_driver": "560"}, "driver", "accelerator driver"),
        ({"gpus": ["H200"]}, "hardware", "accelerators"),
        ({"governor": "powersave"}, "clocks", "clock governor"),
        ({"os": "Debian 13"}, "system", "operating system"),
        ({"inferometer_version": "9"}, "instrument", "inferometer"),
    ],
)
def test_another_machine_is_named_and_keeps_its_verdict_to_itself(
    tmp_path: Path, fields: dict[str, Any], topic: str, what: str
) -> None:
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 44.0)
    edit_host(now, **fields)
    found = compared(base, now)
    (different,) = found.differences
    assert (different.topic, different.what, different.bears_on) == (topic, what, "everything")
    assert {one.verdict for one in found.lines} == {"not_judged"}
    assert line(found).reason == "not_comparable"
    assert line(found).ratio.value == pytest.approx(1.1, rel=0.02)
    assert line(compared(base, now, allow=[topic])).verdict == "better"


def test_other_prompts_weights_and_windows_are_seen(tmp_path: Path) -> None:
    base = write(tmp_path / "a")
    other = {"dense": {"sha256": "f" * 64}}
    cases = {
        "prompts": resent(write(tmp_path / "b")),
        "model": write(tmp_path / "c", facts=other),
        "protocol": write(tmp_path / "d", window_s=12),
    }
    for topic, root in cases.items():
        topics = {one.topic for one in compared(base, root).differences}
        assert topic in topics, topic
        assert gated(base, root).verdict == "inconclusive"


def test_another_price_bears_on_cost_alone(tmp_path: Path) -> None:
    base, now = write(tmp_path / "a"), write(tmp_path / "b", usd_per_hour=7.2)
    found = compared(base, now)
    assert line(found, "bill_usd_per_mtok_output").reason == "not_comparable"
    assert line(found).verdict == "undecided" or line(found).verdict == "tie"


def test_another_environment_is_what_is_compared(tmp_path: Path) -> None:
    base = write(tmp_path / "a", environments={"a": "1" * 64})
    now = write(tmp_path / "b", 44.0, environments={"a": "2" * 64})
    found = compared(base, now)
    (different,) = found.differences
    assert (different.topic, different.bears_on) == ("software", "nothing")
    assert line(found).verdict == "better"


def test_settings_that_differ_are_named_and_secrets_are_not(tmp_path: Path) -> None:
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 41.0)
    file = now / "study.toml"
    file.write_text(file.read_text().replace('name = "a"', 'name = "a"\nextra_args = ["--fast"]'))
    (different,) = compared(base, now).differences
    assert (different.topic, different.what) == ("software", "engine a")
    assert different.baseline == "not set"
    assert different.current == "extra_args = --fast"
    told = apart._fields('{"env":{"API_KEY":"sesame"}}', '[{"args":["--api-key","sesame"]}]')
    assert told == ("env.API_KEY = [hidden]", "args = --api-key [hidden]")
    assert apart._fields("None", "dense") == ("None", "dense")


def test_a_copy_is_no_second_sample(tmp_path: Path) -> None:
    base = write(tmp_path / "a")
    shutil.copytree(base, tmp_path / "b")
    with pytest.raises(UsageError, match="copy of the other"):
        compared(base, tmp_path / "b")


def test_unknown_topics_and_those_nobody_may_allow_are_refused(tmp_path: Path) -> None:
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 41.0)
    for topic in ("drvier", "kind"):
        with pytest.raises(UsageError, match="no difference to allow"):
            compared(base, now, allow=[topic])
    assert topic_of("environment of vllm") == "software"
    assert topic_of("weights of dense") is None


# -- the gate ----------------------------------------------------------------------------


def test_a_gate_passes_equals_and_says_what_it_could_have_seen(tmp_path: Path) -> None:
    found = gated(write(tmp_path / "a"), write(tmp_path / "b", 40.1))
    assert (found.verdict, found.refusals) == ("passed", [])
    assert set(found.margins) == {
        "output_tok_s",
        "energy_j_per_output_token@fixture",
        "ttft_p50_ms",
    }
    seen = judged(found).detectable_percent
    assert seen is not None
    assert 3 < seen < 5  # margin 2, half width 1.2, and 0.4 more for a power of 80 %


def test_a_slower_stack_fails_only_when_it_is_slower_again(tmp_path: Path) -> None:
    base, slow = write(tmp_path / "a"), write(tmp_path / "b", 36.0)
    alone = gated(base, slow)
    assert (alone.verdict, judged(alone).verdict) == ("unconfirmed", "unconfirmed")
    again = write(tmp_path / "c", 36.5)
    assert judged(gated(base, slow, confirm=again)).verdict == "failed"
    well = write(tmp_path / "d", 40.0, noise=(1.0, 1.011, 0.99, 1.005, 0.995))
    found = gated(base, slow, confirm=well)
    assert (found.verdict, judged(found).verdict) == ("passed", "not_confirmed")


def test_inside_the_margin_is_no_failure(tmp_path: Path) -> None:
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 38.0)
    wide = gated(base, now, margins={"output_tok_s": 10.0})
    assert (wide.verdict, judged(wide).shown) == ("passed", "no_worse")
    assert gated(base, now, margins={"output_tok_s": 2.0}).verdict == "unconfirmed"


def test_stacks_of_one_directory_are_confirmed_by_those_of_another(tmp_path: Path) -> None:
    drift = {(s, i): f for s in ("old", "new") for i, f in enumerate((0.8, 0.9, 1.0, 1.1, 1.2))}

    def made(name: str, new: float, later_s: int) -> Path:
        rates = {"old": 40.0, "new": new}
        told = Fixture(rates=rates, drift=drift, rounds=5, later_s=later_s)
        return write_results(tmp_path / name, told).root

    first, again, well = made("a", 36.0, 0), made("b", 36.0, 100), made("c", 40.0, 200)
    pairs = {"new": "old"}
    assert gated(first, first, pairs=pairs).verdict == "unconfirmed"
    assert gated(first, first, pairs=pairs, confirm=again).verdict == "failed"
    assert gated(first, first, pairs=pairs, confirm=well).verdict == "passed"


def test_launches_of_other_software_confirm_nothing(tmp_path: Path) -> None:
    base = write(tmp_path / "a")
    slow = write(tmp_path / "b", 36.0, environments={"a": "1" * 64})
    other = write(tmp_path / "c", 36.0, environments={"a": "2" * 64})
    found = gated(base, slow, confirm=other)
    assert found.verdict == "inconclusive"
    assert "confirm nothing: environment of a differs" in found.refusals[0]


def test_the_confirming_launches_must_be_new_ones(tmp_path: Path) -> None:
    base, slow = write(tmp_path / "a"), write(tmp_path / "b", 36.0)
    with pytest.raises(UsageError, match="same directory"):
        gated(base, slow, confirm=slow)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("output_toks_s", "did you mean 'output_tok_s'"),
        ("nonsense", "no metric named 'nonsense'"),
        ("error_rate", "0 is an ordinary value"),
        ("ttft_p99_ms", "too few samples"),
        ("energy_j_per_output_token@rapl", "nothing was judged"),
    ],
)
def test_what_is_not_there_is_no_pass(tmp_path: Path, metric: str, words: str) -> None:
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 41.0)
    found = gated(base, now, margins={metric: 2.0, "output_tok_s": 2.0})
    assert found.verdict == "inconclusive"
    assert words in " ".join(found.refusals)


def test_one_launch_too_many_failures_and_a_lost_stack_are_no_pass(tmp_path: Path) -> None:
    base = write(tmp_path / "a")
    one = write(tmp_path / "b", noise=(1.0,))
    assert gated(base, one).verdict == "inconclusive"
    died = write(tmp_path / "c", failed=frozenset(("a", index) for index in range(5)))
    found = gated(base, died)
    assert "out of memory" in " ".join(found.refusals)
    two = write(tmp_path / "d", rates={"a": 40.0, "b": 41.0})
    assert "b of the baseline is not here" in gated(two, write(tmp_path / "e")).refusals


def test_no_meter_was_asked_for_and_one_could_not_be_read(tmp_path: Path) -> None:
    bare = [write(tmp_path / name, 40.0 + i, meter=None) for i, name in enumerate("ab")]
    found = gated(*bare)
    assert found.left_out == ["energy_j_per_output_token: neither study asked for a meter"]
    assert found.verdict == "passed"
    asked = gated(*bare, margins={"energy_j_per_output_token": 2.0})
    assert (asked.verdict, asked.refusals) == (
        "inconclusive",
        ["energy_j_per_output_token, a: no power sensor: the study asked for no meter"],
    )


def test_joules_of_another_boundary_are_no_pass(tmp_path: Path) -> None:
    other = msgspec.structs.replace(METER, scope="L2")
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 40.1, meter=other)
    found = gated(base, now)
    assert found.verdict == "inconclusive"
    (refusal,) = found.refusals
    assert refusal.startswith("meter fixture differs: L0, simulated")
    assert judged(found).verdict == "passed"
    assert judged(found, "energy_j_per_output_token").verdict == "not_told"
    assert gated(base, now, margins={"output_tok_s": 2.0}).verdict == "passed"


def test_a_gate_that_could_not_have_seen_enough_is_no_pass(tmp_path: Path) -> None:
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 39.9)
    found = gated(base, now, margins={"output_tok_s": 0.0}, detect=1.0)
    assert found.verdict == "inconclusive"
    assert "1 % was asked for" in found.refusals[0]
    assert gated(base, now, margins={"output_tok_s": 0.0}, detect=9.0).verdict == "passed"


# -- rules -------------------------------------------------------------------------------


def test_rules_come_from_a_file_and_options_go_before_it(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text('[gate]\nallow = ["driver"]\n[gate.margins]\noutput_tok_s = 3\n')
    rules = margins.load(file)
    assert (rules.margins, rules.allow) == ({"output_tok_s": 3.0}, ("driver",))
    more = margins.with_options(rules, metrics=["ttft_p50_ms"], allow=["clocks"], pairs=["b=a"])
    assert more == Rules(margins={"ttft_p50_ms": 5.0}, allow=("driver", "clocks"), pairs={"b": "a"})
    file.write_text("[gate]\nmargin = 3\n")
    with pytest.raises(StudyError, match=r"line 2.*did you mean 'margins'"):
        margins.load(file)
    for word in ("output_tok_s=-1", "output_tok_s=x", "=2"):
        with pytest.raises(UsageError, match="no margin"):
            margins.with_options(Rules(), metrics=[word])
    with pytest.raises(UsageError, match="--pair"):
        margins.with_options(Rules(), pairs=["a"])


# -- the command line --------------------------------------------------------------------


def test_compare_says_what_differs_first(tmp_path: Path, capsys: Capture) -> None:
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 44.0)
    edit_host(now, gpu_driver="560")
    assert cli.main(["compare", str(base), str(now)]) == 0
    text = capsys.readouterr().out
    assert "SIMULATED" in text
    assert text.index("accelerator driver (550 before, 560 now)") < text.index("Output throughput")
    assert text.count("not judged") == 5
    assert cli.main(["compare", str(base), str(now), "--allow", "driver", "--format", "md"]) == 0
    text = capsys.readouterr().out
    assert "| a, dense, small, 4 streams |" in text
    assert "| better |" in text
    assert cli.main(["compare", str(base), str(now), "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out, type=Versus)
    assert line(found).ratio.value == pytest.approx(1.1, rel=0.02)
    assert found.gate is None


def test_the_gate_ends_with_its_code_and_always_writes(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, slow, same = (write(tmp_path / n, r) for n, r in (("a", 40), ("b", 36), ("c", 40.1)))
    step, out = tmp_path / "step.md", tmp_path / "gate.json"
    step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    usual = ["--baseline", str(base), "--json", str(out)]
    for root, more, code, verdict in (
        (slow, [], 3, "unconfirmed"),
        (same, [], 0, "passed"),
        (same, ["--metric", "output_toks"], 4, "inconclusive"),
    ):
        out.unlink(missing_ok=True)
        assert cli.main(["gate", str(root), *usual, *more]) == code
        assert json.loads(out.read_text())["gate"]["verdict"] == verdict
    said = capsys.readouterr()
    assert "give --confirm" in " ".join(said.out.split())
    assert "did you mean 'output_tok_s'" in said.err
    summary = step.read_text()
    assert summary.startswith("before\n# b against a\n")
    assert summary.count("**GATE ") == 3
    assert cli.main(["gate", str(base), "--baseline", str(tmp_path / "none")]) == 2
    assert cli.main(["gate", str(same), *usual, "--summary", str(tmp_path / "s.md")]) == 0
    assert (tmp_path / "s.md").read_text().startswith("# c against a")
    capsys.readouterr()
    assert cli.main(["gate", str(same), "--baseline", str(base), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["gate"]["verdict"] == "passed"


# -- power: a reduced form of tests/benchmarks/gate_power.py ------------------------------


def test_ten_launches_find_six_per_cent_and_rarely_fail_equals() -> None:
    slower = gate_power.rates(10, -0.06, 400)
    assert slower.confirmed >= 0.95
    assert not gate_power.missed(10, -0.06, slower)
    equal = gate_power.rates(10, 0.0, 1500)
    assert equal.confirmed == 0.0
    assert gate_power.missed(3, 0.0, gate_power.Rates(0.01, 0.002))
    assert gate_power.missed(10, -0.06, gate_power.Rates(0.99, 0.94))
