# Two commands on a fresh machine (git, Python 3.11+, make; no GPU):
#   make quickstart   measure two real engines and leave a report
#   make test         install and pass every check and test
# And for sceptics and readers:
#   make gallery-verify   rank and render the published studies again: the same bytes and verdicts
#   make docs             the documentation as a site in .out/site; needs no network
# All are safe to repeat. The environments of the engines are cached outside this checkout.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RESULTS ?= results/quickstart
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))

# Tests start hundreds of processes: what Python compiles is kept, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: quickstart test lint unit engines fuzz lane-sglang benchmarks benchmarks-parity kills docs \
  gallery-verify gallery-render install release-check clean

# Of the 9,000 modules that this installs less than half are ever imported: Python compiles those.
# Installed again only when what it is made from has changed.
$(VENV)/.installed: pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]' $(PLUGINS:%=--editable %)
	touch $@

install: $(VENV)/.installed

quickstart: install
	$(BIN)/inferometer quickstart --results $(RESULTS)

# What mypy knows of files that have not changed is kept for other checkouts, too.
lint: export MYPY_CACHE_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/inferometer-mypy
lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPY_NUM_WORKERS=2 $(BIN)/mypy
	$(BIN)/lint-imports

# Tests that wait rather than compute go four at a time, dealt out by tests/conftest.py, and so do
# those that judge times; then, two at a time, those that compute and those that start clusters;
# measured engines alone. What computes beside others has one thread.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m waiting --numprocesses 4 --dist loadgroup
	$(BIN)/python -m pytest -m timed --numprocesses 4 --dist loadfile
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m computing --numprocesses 2 --dist worksteal
	$(BIN)/python -m pytest -m cluster --numprocesses 2 --dist loadfile
	$(BIN)/python -m pytest -m "not waiting and not timed and not computing and not cluster"

unit: install
	$(BIN)/python -m pytest -m "not engine"

engines: install
	$(BIN)/python -m pytest -m engine

# Real SGLang on the processor with stub kernels: protocol and options, never a figure. Its own
# environment, 2.6 GB in the cache; see docs/how-to/sglang-lane.md.
lane-sglang: install
	$(BIN)/python -m pytest tests/lanes/sglang/lane_flags.py tests/lanes/sglang/lane.py

# Timings, so on an otherwise idle machine; an hour, and once the peers' installation.
# All of them run, also behind one that missed a target.
benchmarks: install
	@missed=0; for name in oracle_table arrivals load_scenes faults fault_catalogue energy_faults \
	  energy_traces phase_split meter_overhead simulator_speed fleet_day window_bias decisions \
	  capacity_worlds percentile_coverage protocols large_analysis pooled_directories gate_power \
	  plan_estimate load_hosts; do \
	  echo "== $$name"; $(BIN)/python -m tests.benchmarks.$$name || missed=1; \
	done; exit $$missed

benchmarks-parity: install
	$(BIN)/python -m tests.benchmarks.vllm_bench_parity
	$(BIN)/python -m tests.benchmarks.twins

# 200 kills of a study of the simulator: twenty minutes; thirty-five starts of vLLM, each killed at
# a random moment: half an hour on an idle machine.
kills: install
	$(BIN)/python -m tests.benchmarks.kill_runs
	$(BIN)/python -m tests.benchmarks.kills

# A million inputs to each reader of a stream, 100,000 to each of a file: docs/reference/fuzzing.md.
fuzz: install
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.run

# A warning is an error: a link that leads nowhere, a page that no list names. All pages are read
# again (-E), as the list of them is in each.
docs: install
	$(BIN)/python -m sphinx -E -W --keep-going -q -c docs -d .out/doctrees -b html . .out/site
	@echo "the documentation is at .out/site/index.html"

# The published studies of reports/gallery: ten seconds each, no engine. A difference ends it with 1.
gallery-verify: install
	$(BIN)/python -m tests.gallery.verify

# After a wanted change of the reports: renders them again, and the results in README.md.
gallery-render: install
	$(BIN)/python -m tests.gallery.publish

# Before a release, with a network: known holes in what we need end it; those in an engine's lock
# are told, for the engine's next release mends them.
release-check: lint
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python -m pytest tests/packaging
	$(BIN)/pip-audit --local --skip-editable
	@for lock in engines/inferometer_engines/requirements/*-cuda.txt; do \
	  echo "== $$lock"; $(BIN)/pip-audit --disable-pip --require-hashes -r $$lock || true; \
	done

.PHONY: news release

# Print what the fragments in .github/changelog make; with VERSION=1.2.3 move them into the changelog.
news: install
	$(BIN)/towncrier build $(if $(VERSION),--yes --version $(VERSION),--draft --version next)

# The files of a release in dist/, from a clean tree at a tag; publishes nothing: .github/RELEASING.md.
release: install
	$(BIN)/python .ci/release.py check
	$(MAKE) release-check
	$(BIN)/python -m pip install --quiet twine
	$(BIN)/python .ci/release.py build

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache
