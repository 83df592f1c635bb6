# Every target sets up .venv by itself and is quick when nothing changed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q install -c constraints.txt
# One thread a process: two processes of two threads on two cores are many times slower.
export OMP_NUM_THREADS ?= 1
CELLS ?= tier0-transition/1 tier0-copy/1 tier0-both/1 digits/1

.PHONY: demo test slow models postgres cluster chaos lint types audit bench-search bench-adapter bench-prefix bench-store \
  bench-scheduling browser server clean

demo: .venv/demo
	$(BIN)/autolora search digits --output runs/digits

test: .venv/dev browser
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not postgres and not cluster"

slow: .venv/dev browser server
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow --ignore=tests/models

# A real PostgreSQL server, started by the tests on loopback and ended by them.
postgres: .venv/dev server
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "postgres and not slow"

# A real Ray cluster on this machine; one process, since it starts several itself.
cluster: .venv/dev
	$(BIN)/python -m pytest -m "cluster and not slow"

# Whole models and real weights in float64: several gigabytes of memory, so one process.
models: .venv/dev
	$(BIN)/python -m pytest tests/models -m slow

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/dev
	$(BIN)/mypy

# Asks PyPI about known vulnerabilities of what constraints.txt pins; says so where it cannot.
audit: .venv/dev
	@PATH="$(CURDIR)/$(BIN):$$PATH" .ci/audit

bench-adapter: .venv/dev
	$(BIN)/python -m benchmarks.adapter --write docs/results/adapter.md

bench-prefix: .venv/dev
	$(BIN)/python -m benchmarks.prefix --write docs/results/prefix.md

# Real processes killed, frozen, cut off: half an hour on two cores; `--short` takes some minutes.
chaos: .venv/dev server
	$(BIN)/python -m benchmarks.chaos $(CHAOS) --write docs/results/reliability.md

bench-store: .venv/dev server
	$(BIN)/python -m benchmarks.store --write docs/results/scale.md

bench-scheduling: .venv/dev
	$(BIN)/python -m benchmarks.scheduling

# Goes on where it stopped; hours on two cores.
bench-search: .venv/dev
	$(BIN)/python -m benchmarks.search.run $(CELLS)
	$(BIN)/python -m benchmarks.search.page --write docs/results/search.md

# Debian's Chromium, for the tests that look at pages; without it they are skipped, and say so.
browser:
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && \
	  { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
	  echo "no chromium and no way to install it: the browser tests will be skipped"; }

# Debian's PostgreSQL and PgBouncer, for the tests that start a server; without it they are skipped, and say so.
server:
	@{ command -v pg_ctl || ls /usr/lib/postgresql/*/bin/pg_ctl; } >/dev/null 2>&1 && \
	  command -v pgbouncer >/dev/null || { command -v apt-get >/dev/null && \
	  { apt-get update -qq && apt-get install -y -qq postgresql pgbouncer >/dev/null; } || \
	  echo "no PostgreSQL and no way to install it: its tests will be skipped"; }

.venv/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "autolora needs Python 3.11 or newer; call: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	touch $@

.venv/demo: pyproject.toml constraints.txt | .venv/python
	$(PIP) -e ".[vision,dashboard]"
	touch $@

.venv/dev: pyproject.toml constraints.txt | .venv/python
	$(PIP) -e ".[dev]"
	touch $@ .venv/demo

clean:
	rm -rf .venv runs
