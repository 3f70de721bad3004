"""The study file: everything wrong with it is said at once, by key path."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from inferometer import declared, plan, problems, study, withheld
from inferometer.errors import StudyError, UsageError

GOOD = """
name = "t"

[protocol]
rounds = 2
window_s = 10

[price]
usd_per_hour = 1.5
source = "list price"
date = "2026-01-31"
contract = "on-demand"

[[engines]]
name = "vllm"
extra_args = ["--a"]
extra_env = { A = "1" }

[[engines]]
name = "vllm"
dtype = "float16"

[[models]]
name = "dense"
path = "/models/dense"

[[models]]
name = "moe"
packaged = "smollm2-135m-moe"
twin_of = "dense"

[[workloads]]
name = "chat"
input_tokens = 64
output_tokens = 32

[[loads]]
concurrency = 8

[[meters]]
name = "declared"
options = { power_w = 65 }
"""


def found(text: str) -> list[tuple[str, str]]:
    with pytest.raises(StudyError) as caught:
        study.parse(text, "s.toml")
    return list(caught.value.problems)


def test_a_trace_needs_a_window_that_is_the_same_for_every_stack() -> None:
    text = GOOD.replace("concurrency = 8", 'concurrency = 8\n[[loads]]\ntrace = "t.jsonl"')
    ((place, said),) = found(text.replace("window_s = 10", ""))
    assert place == "loads[1].trace"
    assert said.startswith("needs protocol.discard_s and protocol.window_s, so that")
    ((_, said),) = found(text.replace("window_s = 10", "discard_s = 1"))
    assert said.startswith("needs protocol.window_s, so that")


def test_times_of_a_load_may_be_unset() -> None:
    protocol = study.parse(GOOD.replace("window_s = 10", ""), "s").protocol
    assert (protocol.window_s, protocol.discard_s) == (None, None)
    assert protocol.soak_s is msgspec.UNSET
    text = study.dump(study.parse(GOOD.replace("window_s = 10", "soak_s = 0"), "s"))
    assert "window_s" not in text
    assert "soak_s = 0" in text


def test_a_good_study_is_read() -> None:
    got = study.parse(GOOD, "s.toml")
    assert got.protocol == study.Protocol(rounds=2, window_s=10.0)
    assert [entry.dtype for entry in got.engines] == ["bfloat16", "float16"]
    assert got.engines[0].extra_env == {"A": "1"}
    assert got.models[1].twin_of == "dense"
    assert got.meters == (study.MeterEntry(name="declared", options={"power_w": 65}),)


def test_a_whole_number_is_as_good_as_a_fraction() -> None:
    other = study.parse(GOOD.replace("window_s = 10\n", "window_s = 10.0\n"), "s.toml")
    assert plan.expand(other) == plan.expand(study.parse(GOOD, "s.toml"))


@pytest.mark.parametrize(
    ("old", "new", "key", "text"),
    [
        ('name = "t"', "", "name", "missing: text in quotes is needed"),
        ('name = "t"', 'name = ""', "name", "must not be empty"),
        ('name = "t"', "name = 3", "name", "expected text in quotes, got 3"),
        ('name = "t"', 'name = "t"\nprize = 1', "prize", "unknown key; did you mean 'price'?"),
        ("rounds = 2", "rounds = 0", "protocol.rounds", "must be at least 1, is 0"),
        (
            "rounds = 2",
            "rounds = 2.5",
            "protocol.rounds",
            "expected a whole number, got 2.5",
        ),
        ("rounds = 2", "port = 65536", "protocol.port", "must be at most 65535, is 65536"),
        ("rounds = 2", "rounds = true", "protocol.rounds", "expected a whole number, got true"),
        ("window_s = 10", "window_s = 0", "protocol.window_s", "must be greater than 0, is 0"),
        (
            "window_s = 10",
            "window_s = inf",
            "protocol.window_s",
            "must be a finite number, is inf",
        ),
        ("window_s = 10", "window_s = nan", "protocol.window_s", "must be a finite number, is nan"),
        (
            "window_s = 10",
            "discard_s = -1",
            "protocol.discard_s",
            "must be at least 0, is -1",
        ),
        ("[protocol]", "[[protocol]]", "protocol", "expected a table, got an array"),
        (
            'name = "vllm"\ndtype = "float16"',
            'name = "vllm"\ndtyp = "float16"',
            "engines[1].dtyp",
            "unknown key; did you mean 'dtype'?",
        ),
        (
            'name = "vllm"\ndtype = "float16"',
            'name = "vllm"\nextra_args = ["--a"]\nextra_env = { A = "1" }',
            "engines[1]",
            "is the same stack as engines[0]; rounds are set in [protocol]",
        ),
        (
            'dtype = "float16"',
            'python = "/p"\ncontainer = "docker"\nimage = "i"',
            "engines[1]",
            "needs at most one of 'python', 'container' and 'url', has 'python' and 'container'",
        ),
        (
            'dtype = "float16"',
            'container = "doker"\nimage = "i"',
            "engines[1].container",
            "\"doker\" is not one of apptainer, docker, podman; did you mean 'docker'?",
        ),
        (
            'dtype = "float16"',
            'container = "podman"',
            "engines[1].container",
            "needs 'engine_version', for the engine's own image, or 'image'",
        ),
        ('dtype = "float16"', 'image = "i"', "engines[1].image", "needs 'container'"),
        (
            'dtype = "float16"',
            'container = "docker"\nimage = "--privileged"',
            "engines[1].image",
            '"--privileged" is not an image\'s name without spaces',
        ),
        (
            'dtype = "float16"',
            'engine_version = "0.33.0"',
            "engines[1].engine_version",
            "needs 'container' or 'url'",
        ),
        (
            'dtype = "float16"',
            'api_key_env = "A"',
            "engines[1].api_key_env",
            "needs 'url'",
        ),
        (
            'dtype = "float16"',
            'container = "docker"\nimage = "i"\ncontainer_args = ["--env=A_TOKEN=x"]',
            "engines[1].container_args[0]",
            "looks like a secret; name its variable in pass_env",
        ),
        (
            'dtype = "float16"',
            'url = "http://127.0.0.1:8000"',
            "engines[1].url",
            "a server serves one model, and this study has 2",
        ),
        (
            'dtype = "float16"',
            'profile = "tunned"',
            "engines[1].profile",
            "\"tunned\" is not one of defaults, equalized, tuned; did you mean 'tuned'?",
        ),
        (
            'dtype = "float16"',
            'profile = "tuned"',
            "engines[1].profile",
            '"tuned" needs a budget: add [tuning] with trials = 8',
        ),
        (
            "[price]",
            "[tuning]\ntrials = 2\n[price]",
            "tuning",
            'is for profile = "tuned", which no engine of this study has',
        ),
        (
            'dtype = "float16"',
            "max_model_len = 95",
            "engines[1].max_model_len",
            "95 is less than the 96 of workloads[0]",
        ),
        (
            'extra_args = ["--a"]',
            'extra_args = ["--a", 1]',
            "engines[0].extra_args[1]",
            "expected text in quotes, got 1",
        ),
        ('A = "1"', "A = 1", "engines[0].extra_env.A", "expected text in quotes, got 1"),
        (
            'name = "chat"',
            'name = "a/b"',
            "workloads[0].name",
            "\"a/b\" is not at most 64 letters, digits, '.', '_' and '-', a letter or digit first",
        ),
        (
            'path = "/models/dense"',
            "",
            "models[0]",
            "needs exactly one of 'path' and 'packaged', has neither",
        ),
        (
            'path = "/models/dense"',
            'path = "/m"\npackaged = "p"',
            "models[0]",
            "needs exactly one of 'path' and 'packaged', has both",
        ),
        (
            'twin_of = "dense"',
            'twin_of = "moe"',
            "models[1].twin_of",
            '"moe" is no dense model of this study; dense: dense',
        ),
        (
            'path = "/models/dense"',
            'path = "/models/dense"\n[[engines]]\nname = "e"\ncheckpoints = { x = "/awq" }',
            "engines[2].checkpoints",
            '"x" is no model of this study; models: dense, moe',
        ),
        (
            'name = "moe"',
            'name = "dense"',
            "models[1].name",
            '"dense" is also models[0]',
        ),
        ("input_tokens = 64", "input_tokens = 0", "workloads[0].input_tokens", "must be at least"),
        (
            "input_tokens = 64",
            "",
            "workloads[0].input_tokens",
            "missing: give it, or 'input', 'preset' or 'file'",
        ),
        (
            "input_tokens = 64",
            'preset = "chat"',
            "workloads[0]",
            "takes its lengths from one place, has 'preset' and 'output_tokens'",
        ),
        (
            "input_tokens = 64\noutput_tokens = 32",
            'preset = "chat"\nfile = "f"',
            "workloads[0]",
            "takes its lengths from one place, has 'preset' and 'file'",
        ),
        (
            "input_tokens = 64\noutput_tokens = 32",
            'preset = "chatt"',
            "workloads[0].preset",
            '"chatt" is not one of chat, code-generation, deep-research, rag, summarize',
        ),
        (
            "input_tokens = 64",
            'input_tokens = 64\ninput = { distribution = "fixed", tokens = 3 }',
            "workloads[0].input",
            "stands beside 'input_tokens'; give one of them",
        ),
        (
            "input_tokens = 64",
            'input = { distribution = "lognormal", mean = 5.3 }',
            "workloads[0].input.sigma",
            "missing: lognormal needs mean and sigma",
        ),
        (
            "input_tokens = 64",
            'input = { distribution = "logmormal" }',
            "workloads[0].input.distribution",
            '"logmormal" is not one of empirical, fixed, lognormal, normal, uniform; did you',
        ),
        (
            "input_tokens = 64",
            'input = { distribution = "uniform", min = 9, max = 8 }',
            "workloads[0].input.min",
            "9 is more than the max, 8",
        ),
        (
            "input_tokens = 64",
            'input = "lognormal"',
            "workloads[0].input",
            'expected a table, got "lognormal"',
        ),
        (
            "input_tokens = 64",
            'input_tokens = 64\ncache = "warm"',
            "workloads[0].reuse",
            "missing: a warm workload states which share of a prompt is reused",
        ),
        (
            "input_tokens = 64",
            "input_tokens = 64\nreuse = 0.5",
            "workloads[0].reuse",
            'needs cache = "warm"',
        ),
        (
            "input_tokens = 64",
            'input_tokens = 64\ncache = "warm"\nreuse = 1',
            "workloads[0].reuse",
            "must be less than 1, is 1",
        ),
        ("concurrency = 8", "concurrency = 0", "loads[0].concurrency", "must be at least 1, is 0"),
        (
            "concurrency = 8",
            "concurrency = 8\n[[loads]]\nconcurrency = 8",
            "loads[1].concurrency",
            "8 is also loads[0]",
        ),
        ("concurrency = 8", "rate = 0", "loads[0].rate", "must be greater than 0, is 0"),
        (
            "concurrency = 8",
            "concurrency = 8\nrate = 2.0",
            "loads[0]",
            "needs exactly one of 'concurrency', 'rate' and 'trace', has 'concurrency' and 'rate'",
        ),
        (
            "concurrency = 8",
            "max_in_flight = 8",
            "loads[0]",
            "needs exactly one of 'concurrency', 'rate' and 'trace', has none",
        ),
        (
            "concurrency = 8",
            'concurrency = 8\narrivals = "poisson"',
            "loads[0].arrivals",
            "needs 'rate', and this load has 'concurrency'",
        ),
        (
            "concurrency = 8",
            "rate = 2\ntime_scale = 0.5",
            "loads[0].time_scale",
            "needs 'trace', and this load has 'rate'",
        ),
        (
            "concurrency = 8",
            "concurrency = 8\nmax_in_flight = 9",
            "loads[0].max_in_flight",
            "caps an open loop; 'concurrency' is a cap already",
        ),
        (
            "concurrency = 8",
            'rate = 2\narrivals = "gamma"',
            "loads[0].burstiness",
            "missing: gamma needs the shape of its gaps",
        ),
        (
            "concurrency = 8",
            "rate = 2\nburstiness = 0.5",
            "loads[0].burstiness",
            'needs arrivals = "gamma"',
        ),
        (
            "concurrency = 8",
            'rate = 2\narrivals = "poison"',
            "loads[0].arrivals",
            "\"poison\" is not one of constant, gamma, poisson; did you mean 'poisson'?",
        ),
        ("concurrency = 8", "burst = true", "loads[0].burst", "a burst has no steady state"),
        (
            "concurrency = 8",
            'rate = 2\narrivals = "burst"',
            "loads[0].arrivals",
            "a burst has no steady state, so no window: `inferometer bench --burst` measures one",
        ),
        (
            "concurrency = 8",
            'rate = 2\n[[loads]]\nrate = 2.0\narrivals = "poisson"',
            "loads[1].rate",
            "2.0 is also loads[0]",
        ),
        (
            "concurrency = 8",
            'concurrency = 8\n[[loads]]\ntrace = "t.jsonl"',
            "loads[1].trace",
            "needs protocol.discard_s, so that every stack's window has the same part of it",
        ),
        (
            "input_tokens = 64",
            "input_tokens = 64\nturns = 4",
            "workloads[0].cache",
            'must be "warm": each turn repeats the conversation before it',
        ),
        (
            "input_tokens = 64",
            'input_tokens = 64\nturns = 4\ncache = "warm"\nreuse = 0.5',
            "workloads[0].reuse",
            "leave it out: what a conversation reuses follows from its turns",
        ),
        (
            "input_tokens = 64",
            'input_tokens = 64\nturns = 1\ncache = "warm"',
            "workloads[0].turns",
            "must be at least 2, is 1",
        ),
        (
            "input_tokens = 64",
            'input_tokens = 64\nturns = "many"\ncache = "warm"',
            "workloads[0].turns",
            'expected a whole number, got "many"',
        ),
        (
            "input_tokens = 64",
            (
                'input_tokens = 64\ncache = "warm"\n'
                'turns = { distribution = "lognormal", mean = 1, sigma = 1 }'
            ),
            "workloads[0].turns.max",
            "missing: say how long a conversation may be, at most 200",
        ),
        (
            "input_tokens = 64",
            (
                'input_tokens = 64\ncache = "warm"\n'
                'turns = { distribution = "uniform", min = 2, max = 999 }'
            ),
            "workloads[0].turns.max",
            "must be at most 200 turns, is 999",
        ),
        (
            "input_tokens = 64",
            "input_tokens = 64\nthink_s = 2",
            "workloads[0].think_s",
            "needs 'turns'",
        ),
        (
            "[[loads]]",
            "[loads]",
            "loads",
            "expected an array of tables: write [[loads]], got a table",
        ),
        (
            "options = { power_w = 65 }",
            "power_w = 65",
            "meters[0].power_w",
            "unknown key; known: name, options",
        ),
        (
            "usd_per_hour = 1.5",
            "usd_per_hour = 0",
            "price.usd_per_hour",
            "must be greater than 0, is 0",
        ),
        ('source = "list price"', "", "price.source", "missing: text in quotes is needed"),
        ("2026-01-31", "2026-02-30", "price.date", '"2026-02-30" is no day; write it as'),
        ("2026-01-31", "20260131", "price.date", '"20260131" is no day; write it as'),
        ("2026-01-31", "9999-01-31", "price.date", "9999-01-31 is in the future"),
        (
            '"on-demand"',
            '"spott"',
            "price.contract",
            '"spott" is not one of assumed, negotiated, on-demand, owned, reserved, spot',
        ),
    ],
)
def test_one_problem_is_one_line_at_its_key(old: str, new: str, key: str, text: str) -> None:
    assert GOOD.count(old) >= 1
    ((got_key, got_text),) = found(GOOD.replace(old, new, 1))
    assert got_key == key
    assert got_text.startswith(text)


@pytest.mark.parametrize(
    ("lengths", "total"),
    [
        ('preset = "chat"', 6144),
        ('input_tokens = 64\noutput = { distribution = "uniform", min = 1, max = 100 }', 164),
        ('input = { distribution = "fixed", tokens = 90 }\noutput_tokens = 9', 99),
        ('input_tokens = 64\noutput = { distribution = "normal", mean = 9, sigma = 1 }', None),
        ('file = "pairs.csv"', None),
    ],
)
def test_the_longest_request_must_fit_where_it_is_known(lengths: str, total: int | None) -> None:
    text = GOOD.replace("input_tokens = 64\noutput_tokens = 32", lengths)
    text = text.replace('dtype = "float16"', "max_model_len = 20")
    if total is None:
        study.parse(text, "s.toml")
    else:
        expected = f"20 is less than the {total} of workloads[0]"
        assert found(text) == [("engines[1].max_model_len", expected)]


def test_a_warm_workload_needs_an_engine_that_may_cache() -> None:
    text = GOOD.replace('dtype = "float16"', "prefix_caching = false")
    study.parse(text, "s.toml")
    text = text.replace("input_tokens = 64", 'input_tokens = 64\ncache = "warm"\nreuse = 0.5')
    assert found(text) == [("engines[1].prefix_caching", "false, but workloads[0] is warm")]
    equal = text.replace("prefix_caching = false", 'profile = "equalized"\nkv_cache_tokens = 4096')
    ((place, words),) = found(equal)
    assert place == "engines[1].profile"
    assert "prefix_caching = true" in words
    study.parse(equal.replace("4096", "4096\nprefix_caching = true"), "s.toml")


OPEN = """
[[loads]]
rate = 2
arrivals = "gamma"
burstiness = 0.5
max_in_flight = 64

[[loads]]
trace = "a folder/hour one.jsonl"
time_scale = 0.5
"""
TRACE = '[[loads]]\ntrace = "hour.jsonl"'


def test_open_loops_have_labels_and_keys_of_their_own() -> None:
    text = GOOD.replace("window_s = 10", "window_s = 10\ndiscard_s = 1") + OPEN
    whole = study.parse(text, "s.toml")
    assert [(load.label, load.key, load.closed) for load in whole.loads] == [
        ("8 streams", "8", True),
        ("2 requests/s, gamma 0.5, at most 64 in flight", "rate-2.0-gamma-0.5-max64", False),
        ("trace replay, times x 0.5", "trace-x0.5", False),
    ]
    assert study.LoadEntry(rate=2.5).label == "2.5 requests/s, Poisson"
    assert study.LoadEntry(rate=2.5, arrivals="constant").label == "2.5 requests/s, constant"
    assert study.parse(study.dump(whole), "dump") == whole
    assert [(p.workload.name, p.load.key) for p in plan.load_points(whole)] == [
        ("chat", "8"),
        ("chat", "rate-2.0-gamma-0.5-max64"),
        ("hour-one", "trace-x0.5"),
    ]


def test_what_is_new_in_loads_changes_no_older_plan() -> None:
    assert msgspec.json.encode(study.LoadEntry(concurrency=8)) == b'{"concurrency":8}'


def test_traces_alone_need_no_workload_and_run_none() -> None:
    text = GOOD.replace("window_s = 10", "window_s = 10\ndiscard_s = 1")
    text = text.replace("[[loads]]\nconcurrency = 8", TRACE)
    never = "is never run: every load is a trace, which brings its own lengths"
    assert found(text) == [("workloads[0]", never)]
    workload = '[[workloads]]\nname = "chat"\ninput_tokens = 64\noutput_tokens = 32\n'
    (point,) = plan.load_points(study.parse(text.replace(workload, ""), "s.toml"))
    assert (point.workload.name, point.label) == ("hour", "trace replay")
    two = text.replace(workload, "") + TRACE.replace("hour", "another/hour")
    assert found(two) == [("loads[1].trace", '"another/hour.jsonl" is also loads[0]')]


def test_a_study_without_workloads_is_told_so() -> None:
    workload = '[[workloads]]\nname = "chat"\ninput_tokens = 64\noutput_tokens = 32\n'
    assert found(GOOD.replace(workload, "")) == [("workloads", "missing: an array is needed")]
    empty = "workloads = []\n" + GOOD.replace(workload, "")
    assert found(empty) == [("workloads", "needs at least 1 entry")]


def test_conversations_run_in_closed_loops_only() -> None:
    talk = 'turns = { distribution = "uniform", min = 2, max = 4 }\nthink_s = 1\ncache = "warm"'
    text = GOOD.replace("output_tokens = 32", f"output_tokens = 32\n{talk}")
    whole = study.parse(text + "[[loads]]\nrate = 2", "s.toml")
    assert [point.load.key for point in plan.load_points(whole)] == ["8"]
    assert plan.left_out(whole) == ["chat at 2 requests/s, Poisson"]
    assert study.parse(study.dump(whole), "dump") == whole
    alone = text.replace("concurrency = 8", "rate = 2")
    assert found(alone) == [
        (
            "workloads[0].turns",
            "needs a closed loop, [[loads]] concurrency: a next turn waits for the answer",
        )
    ]


def test_the_last_turn_has_the_whole_conversation_before_it() -> None:
    text = GOOD.replace("output_tokens = 32", 'output_tokens = 32\nturns = 3\ncache = "warm"')
    text = text.replace('dtype = "float16"', "max_model_len = 287")
    expected = "287 is less than the 288 of workloads[0]"
    assert found(text) == [("engines[1].max_model_len", expected)]
    study.parse(text.replace("287", "288"), "s.toml")


def test_a_distribution_is_dumped_and_read_back() -> None:
    lengths = 'input = { distribution = "lognormal", mean = 5.3, sigma = 1, max = 99 }'
    text = GOOD.replace("input_tokens = 64", f'{lengths}\ncache = "warm"\nreuse = 0.5')
    whole = study.parse(text, "s.toml")
    assert study.parse(study.dump(whole), "dump") == whole


ONE_MODEL = GOOD.replace(
    '[[models]]\nname = "moe"\npackaged = "smollm2-135m-moe"\ntwin_of = "dense"\n', ""
)


@pytest.mark.parametrize(
    ("keys", "key", "text"),
    [
        ("max_model_len = 2048", "max_model_len", "cannot be applied: the server at 'url' is not"),
        ('profile = "equalized"', "profile", "cannot be applied"),
        ('pass_env = ["A"]', "pass_env", "cannot be applied"),
        ('extra_args = ["--x"]', "extra_args", "cannot be applied"),
        ('api_key_env = "A-B"', "api_key_env", "is not the name of a variable"),
        ('api_key_env = "sk-abcdefghijklmnopqrstuvwxyz"', "api_key_env", "is a key itself"),
    ],
)
def test_a_server_of_someone_else_s_cannot_be_told(keys: str, key: str, text: str) -> None:
    entry = f'url = "http://127.0.0.1:8000"\n{keys}'
    ((got_key, got_text),) = found(ONE_MODEL.replace('dtype = "float16"', entry))
    assert got_key == f"engines[1].{key}"
    assert text in got_text


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://me:word@host:1", "no user, password or query"),
        ("https://host/v1?key=1", "no user, password or query"),
        ("ftp://host", "must be http:// or https:// with a host"),
        ("localhost:8000", "must be http:// or https:// with a host"),
        ("http://host:99999", "not a usable URL"),
    ],
)
def test_a_url_that_is_stored_holds_no_secret(url: str, text: str) -> None:
    ((key, words),) = found(ONE_MODEL.replace('dtype = "float16"', f'url = "{url}"'))
    assert key == "engines[1].url"
    assert text in words


def test_a_server_may_declare_its_precision() -> None:
    entry = 'url = "http://127.0.0.1:8000"\ndtype = "fp8"\nserved_model_name = "m"'
    got = study.parse(ONE_MODEL.replace('dtype = "float16"', entry), "s.toml").engines[1]
    assert (got.url, got.dtype) == ("http://127.0.0.1:8000", "fp8")


def test_every_problem_is_found_at_once_in_file_order() -> None:
    text = GOOD.replace("rounds = 2", "rounds = 0").replace("concurrency = 8", "streams = 8")
    text = text.replace('path = "/models/dense"', "").replace("2026-01-31", "soon")
    assert [key for key, _ in found(text)] == [
        "protocol.rounds",
        "price.date",
        "models[0]",
        "loads[0]",
        "loads[0].streams",
    ]


@pytest.mark.parametrize("key", ["engines", "models", "loads"])
def test_each_list_needs_one_entry(key: str) -> None:
    empty = {"name": "t", "engines": [], "models": [], "workloads": [], "loads": []}
    assert (key, "needs at least 1 entry") in problems.find(empty, study.Study)
    del empty[key]
    assert (key, "missing: an array is needed") in problems.find(empty, study.Study)


def test_a_day_needs_no_quotes() -> None:
    got = study.parse(GOOD.replace('"2026-01-31"', "2026-01-31"), "s.toml")
    assert got.price is not None
    assert got.price.date == "2026-01-31"


def test_what_is_no_toml_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('name = "t"\n[protocol\n')
    with pytest.raises(UsageError, match=r"s\.toml: not TOML: .*line 2"):
        study.load(path)


@pytest.mark.parametrize(
    "value", ["9" * 5000, "[" * 2000 + "]" * 2000], ids=["a number", "a nesting"]
)
def test_what_is_absurd_is_an_error_of_the_file(tmp_path: Path, value: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(GOOD.replace("rounds = 2", f"rounds = {value}"))
    with pytest.raises(UsageError, match=r"s\.toml: cannot be read as TOML") as caught:
        study.load(path)
    assert caught.value.hint == "Shorten that number or nesting."


def test_a_bad_key_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(GOOD.replace("window_s = 10", "windows_s = 10").replace("= 32", '= "32"'))
    with pytest.raises(StudyError) as caught:
        study.load(path)
    assert str(caught.value).splitlines()[1:] == [
        "  line 6, protocol.windows_s: unknown key; did you mean 'window_s'?",
        '  line 35, workloads[0].output_tokens: expected a whole number, got "32"',
    ]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such study file"):
        study.load(tmp_path / "absent.toml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        study.load(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes(b'name = "\xe9"\n')
    with pytest.raises(UsageError, match=r"latin\.toml: not UTF-8 \(byte 8\)"):
        study.load(path)


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert study.load(path) == study.parse(GOOD, "s.toml")


def test_dump_is_read_back_as_the_same_study() -> None:
    whole = study.parse(GOOD, "s.toml")
    odd = msgspec.structs.replace(whole, name='a "b" \\ \n é \x7f', preset="quick look")
    for one in (whole, odd):
        assert study.parse(study.dump(one), "dump") == one
    assert "dtype" not in study.dump(whole).partition("[[engines]]")[2].partition("[[")[0]


def test_the_reference_has_every_key_with_its_default() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "study.md").read_text()
    rows = re.findall(
        r"^\| `([\w.]+)` \| .* \| (`.*`|required|unset) \| .* \|$", text, re.MULTILINE
    )
    tables: dict[str, type[msgspec.Struct]] = {
        "protocol": study.Protocol,
        "tuning": study.Tuning,
        "price": declared.Price,
        "energy": declared.Energy,
        "slo": declared.Slo,
        "capacity": declared.Capacity,
        "sequential": declared.Sequential,
        "engines": study.EngineEntry,
        "models": study.ModelEntry,
        "workloads": study.WorkloadEntry,
        "loads": study.LoadEntry,
        "meters": study.MeterEntry,
    }
    everything: list[tuple[str, type[msgspec.Struct]]] = [("", study.Study), *tables.items()]
    expected = {}
    for table, struct in everything:
        for info in msgspec.structs.fields(struct):
            if table or info.name not in tables:
                value = "required" if info.required else "unset"
                if not info.required and info.default not in {None, msgspec.UNSET}:
                    empty = {} if info.default is msgspec.NODEFAULT else info.default
                    value = f"`{study._toml(empty).replace('{  }', '{}')}`"
                expected[f"{table}.{info.name}".lstrip(".")] = value
    assert dict(rows) == expected


def test_a_secret_in_the_study_is_refused_and_never_repeated() -> None:
    text = GOOD.replace(
        'extra_args = ["--a"]\nextra_env = { A = "1" }',
        'extra_args = ["--api-key=abc", "hf_abcdefghijklmnopqrstu"]\n'
        'extra_env = { HF_TOKEN = "xyz" }',
    )
    problems_ = found(text)
    assert [place for place, _ in problems_] == [
        "engines[0].extra_args[0]",
        "engines[0].extra_args[1]",
        "engines[0].extra_env.HF_TOKEN",
    ]
    assert all("pass_env" in words for _, words in problems_)
    assert not any(secret in words for _, words in problems_ for secret in ("abc", "xyz"))


def test_a_secret_that_is_handed_on_may_not_stand_in_the_study_and_a_word_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(withheld, "_known", {})
    monkeypatch.setenv("HUB_LOGIN", "no-usual-shape-42")
    monkeypatch.setenv("BACKEND", "FLASH_ATTN")
    handed = 'extra_args = ["FLASH_ATTN"]\npass_env = ["HUB_LOGIN", "BACKEND"]'
    text = GOOD.replace('extra_args = ["--a"]', handed)
    assert study.parse(text, "s.toml").engines[0].extra_args == ("FLASH_ATTN",)
    assert withheld.known() == ("no-usual-shape-42",)
    monkeypatch.setattr(withheld, "_known", {})
    with pytest.raises(UsageError, match=r"s\.toml: line \d+ looks like it holds") as caught:
        study.parse(text.replace('["FLASH_ATTN"]', '["no-usual-shape-42"]'), "s.toml")
    assert "no-usual-shape-42" not in str(caught.value)


TUNED = (
    GOOD.replace('dtype = "float16"', 'profile = "tuned"')
    + """
[[loads]]
rate = 2
"""
)


def tuning(lines: str) -> str:
    return TUNED.replace("[price]", f"[tuning]\n{lines}\n[price]", 1)


def test_a_tuned_study_is_read_and_written() -> None:
    got = study.parse(tuning("minutes = 30\nconcurrency = 8"), "s.toml")
    assert got.tuning == study.Tuning(minutes=30.0, concurrency=8)
    assert study.parse(study.dump(got), "s.toml") == got
    assert "[tuning]" not in study.dump(study.parse(GOOD, "s.toml"))


@pytest.mark.parametrize(
    ("lines", "key", "text"),
    [
        ("", "tuning", "needs 'trials', 'minutes' or both: what each search may spend"),
        ("trials = 1", "tuning.trials", "must be at least 2, is 1"),
        ("minutes = 0", "tuning.minutes", "must be greater than 0, is 0"),
        ("trials = 2\nwindow = 5", "tuning.window", "unknown key; did you mean 'window_s'?"),
        ("trials = 2\nconcurrency = 9", "tuning.concurrency", "9 is not in this study: 8"),
        ('trials = 2\nworkload = "x"', "tuning.workload", '"x" is not in this study: chat'),
        ('trials = 2\nmeter = "declared"', "tuning.meter", 'needs objective = "energy"'),
        (
            'trials = 2\nobjective = "energy"\nmeter = "x"',
            "tuning.meter",
            '"x" is none of [[meters]]: declared',
        ),
        ('trials = 2\nobjective = "cost"', "tuning.objective", '"cost" is not one of'),
    ],
)
def test_a_search_is_described_well(lines: str, key: str, text: str) -> None:
    problems_ = found(tuning(lines))
    assert [name for name, _ in problems_] == [key]
    assert text in problems_[0][1]


def test_a_search_needs_a_closed_loop_and_energy_a_meter() -> None:
    text = tuning('trials = 2\nobjective = "energy"').partition("[[loads]]")[0]
    problems_ = dict(found(text + "[[loads]]\nrate = 2\n"))
    assert "needs a closed loop" in problems_["tuning"]
    assert problems_["tuning.objective"] == '"energy" needs a meter: add [[meters]]'


DECLARED = """
[energy]
pue = 1.2
carbon_g_per_kwh = 380
source = "grid operator"
date = 2026-01-31
[slo]
ttft_ms = 500
"""


def test_declared_values_are_read_and_written() -> None:
    got = study.parse(GOOD.replace("[price]", DECLARED + "[price]", 1), "s.toml")
    assert got.energy == declared.Energy(
        pue=1.2, carbon_g_per_kwh=380.0, source="grid operator", date="2026-01-31"
    )
    assert got.slo == declared.Slo(ttft_ms=500.0)
    assert study.parse(study.dump(got), "s.toml") == got
    assert not {"[energy]", "[slo]"} & set(study.dump(study.parse(GOOD, "s.toml")).splitlines())


@pytest.mark.parametrize(
    ("old", "new", "key", "text"),
    [
        ("pue = 1.2", "pue = 0.9", "energy.pue", "must be at least 1, is 0.9"),
        ("2026-01-31", "2999-01-31", "energy.date", "is in the future"),
        ("2026-01-31", '"May"', "energy.date", "is no day"),
        ('source = "grid operator"', "", "energy.source", "missing"),
        ("ttft_ms = 500", "", "slo", "needs at least one of 'ttft_ms', 'tpot_ms', 'e2e_ms'"),
        ("ttft_ms = 500", "ttft = 500", "slo.ttft", "did you mean 'ttft_ms'"),
        ("pue = 1.2\ncarbon_g_per_kwh = 380", "", "energy", "needs at least one of 'pue'"),
    ],
)
def test_declared_values_are_checked(old: str, new: str, key: str, text: str) -> None:
    problems_ = dict(found(GOOD.replace("[price]", DECLARED.replace(old, new) + "[price]", 1)))
    assert text in problems_[key]


@pytest.mark.parametrize(
    ("rounds", "said"),
    [(2, "must be 3 to 8 with [sequential]"), (9, "must be 3 to 8 with [sequential]"), (8, None)],
)
def test_a_sequential_study_looks_after_rounds_for_which_its_level_holds(
    rounds: int, said: str | None
) -> None:
    text = GOOD.replace("rounds = 2", f"rounds = {rounds}") + "[sequential]\n"
    if said is None:
        assert study.parse(text, "s").sequential == declared.Sequential()
    else:
        assert said in dict(found(text))["protocol.rounds"]


def test_two_alike_need_a_name_each() -> None:
    twice = '[[engines]]\nname = "vllm"\n'
    one, two = (twice + f'alias = "{name}"\n' for name in ("a", "b"))
    text = GOOD[: GOOD.index("[[engines]]")] + "%s" + GOOD[GOOD.index("[[models]]") :]
    assert "give each an alias" in dict(found(text % (twice + twice)))["engines[1]"]
    parsed = study.parse(text % (one + two), "s")
    assert plan.stack_ids(parsed) == ["a", "b"]
    assert "is also engines[0]" in dict(found(text % (one + one)))["engines[1].alias"]
    taken = twice + twice + 'alias = "vllm"\n'
    assert "is the name of an engine here" in dict(found(text % taken))["engines[1].alias"]


SEARCHED = """
[slo]
ttft_ms = 500
[capacity]
low = 1
high = 64
"""


def test_a_search_for_capacity_and_its_defaults() -> None:
    got = study.parse(GOOD + SEARCHED, "s")
    assert got.capacity == declared.Capacity(
        low=1.0, high=64.0, share=0.9, minutes=15.0, tolerance=0.1, rounds=None
    )
    assert study.parse(study.dump(got), "s") == got
    assert "[capacity]" not in study.dump(study.parse(GOOD, "s"))


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("[slo]\nttft_ms = 500\n", "", "capacity", "needs [slo] with ttft_ms or e2e_ms"),
        ("ttft_ms = 500", "tpot_ms = 50", "capacity", "requests that wait ever longer"),
        ("low = 1", "low = 64", "capacity.low", "64 must be below high, 64"),
        ("low = 1", "low = 0", "capacity.low", "must be greater than 0"),
        ("low = 1\n", "", "capacity.low", "missing"),
        ("high = 64", "high = 64\nshare = 1.0", "capacity.share", "must be less than 1"),
        ("high = 64", "high = 64\nshare = 0", "capacity.share", "must be greater than 0"),
        ("high = 64", "high = 64\nrounds = 9", "capacity.rounds", "9 is more than the 2"),
        ("high = 64", "high = 64\nminute = 9", "capacity.minute", "did you mean 'minutes'"),
    ],
)
def test_a_search_that_cannot_be_is_refused(old: str, new: str, where: str, what: str) -> None:
    assert what in dict(found(GOOD + SEARCHED.replace(old, new)))[where]


@pytest.mark.parametrize(
    ("name", "launches"),
    [
        ("dense-and-moe", 12),  # two engines, a dense model and its twin, three rounds
        ("calibration", 2),  # one engine, one model, two rounds
    ],
)
def test_the_studies_of_the_documentation_can_be_planned(name: str, launches: int) -> None:
    path = Path(__file__).parents[3] / "docs" / "examples" / "studies" / f"{name}.toml"
    assert len(plan.expand(study.load(path)).launches) == launches
