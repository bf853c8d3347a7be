# Everything a person does with this repository. `make help` lists it.
# Needs Python 3.11 or newer and make; everything else is installed into .venv from the lock files.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick browser lint fmt type house bless docs flink-diff flink-ask nexmark flink-nexmark bench bench-nexmark bench-decode bench-parquet bench-engine bench-state bench-latency lock warm clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Deras needs Python 3.11 or newer; none was found. Set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }

$(BIN)/uv: $(BIN)/python
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv

$(RUN): requirements.lock pyproject.toml | $(BIN)/uv
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install -q -r requirements.lock
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install -q --no-deps -e .
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml | $(BIN)/uv
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install -q -r requirements-dev.lock
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install -q --no-deps -e .
	@touch $@ $(RUN)

setup: $(DEV) ## make the environment with all tools

demo: $(RUN) ## run the factory demo: live machine data on a dashboard (Ctrl-C ends it)
	@$(BIN)/deras demo factory $(ARGS)

test: $(DEV) ## run all tests (what CI runs)
	@$(BIN)/python -m pytest $(ARGS)

quick: $(DEV) ## run the tests without the slow ones
	@$(BIN)/python -m pytest -m "not slow and not browser" $(ARGS)

browser: $(DEV) ## run the browser tests only
	@$(BIN)/python -m pytest -m browser $(ARGS)

lint: $(DEV) ## ruff, formatting, import directions
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

fmt: $(DEV) ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix -q .

type: $(DEV) ## mypy, strict
	@$(BIN)/mypy

house: lint type ## every check that is no test

bless: $(DEV) ## rewrite the golden files of the text tests (review the diff)
	@DERAS_BLESS=1 $(BIN)/python -m pytest -q tests/sql tests/golden $(ARGS)

docs: $(DEV) ## make the generated reference pages anew
	@$(BIN)/python -m deras.sql.functions.page

flink-diff: $(DEV) ## compare the golden queries with a real Apache Flink (FLINK_PYTHON=python with apache-flink==2.3.0)
	@$(BIN)/python tests/golden/flink_diff.py $(ARGS)

flink-ask: $(DEV) ## ask Apache Flink the oracle's new questions, store its answers (installs it, 844 MB; needs Java 17)
	@$(BIN)/python tests/oracle/flink_diff.py $(ARGS)

nexmark: $(DEV) ## all of Nexmark against the stored results of Apache Flink and against DuckDB: the table
	@$(BIN)/python bench/nexmark/compare.py $(ARGS)

flink-nexmark: $(DEV) ## ask Apache Flink for Nexmark's results anew (FLINK_PYTHON=python with apache-flink==2.3.0; needs Java 17)
	@$(BIN)/python bench/nexmark/compare.py --flink $(or $(FLINK_PYTHON),$(error set FLINK_PYTHON)) $(ARGS)

bench: $(DEV) ## rows/s of three whole queries, as ratios to DuckDB's batch run of the same query
	@$(BIN)/python bench/queries.py $(ARGS)

bench-decode: $(DEV) ## JSON decoding against DuckDB, Polars and orjson
	@$(BIN)/python bench/decode.py $(ARGS)

bench-parquet: $(DEV) ## a selective filter over a Parquet file, with and without telling the reader, and DuckDB
	@$(BIN)/python bench/parquet.py $(ARGS)

bench-engine: $(DEV) ## keyed operators alone, and steps of one row
	@$(BIN)/python bench/engine.py $(ARGS)
	@$(BIN)/python bench/steps.py

bench-state: $(DEV) ## state of five operators with 100 k and 10 M keys, longest step, an hour of fresh keys (quick: ARGS="--keys 100000 1000000")
	@$(BIN)/python bench/state.py $(ARGS)

bench-nexmark: $(DEV) ## Nexmark from files into a black hole: Deras and DuckDB's batch run; ARGS=--peers: Flink and clink, too
	@$(BIN)/python bench/nexmark/bench.py $(ARGS)

bench-latency: $(DEV) ## delay from sent to seen, start-up, memory
	@$(BIN)/python bench/latency.py $(ARGS)

warm: $(RUN) ## compile all kernels into the cache
	@$(BIN)/deras warm

lock: $(BIN)/uv ## renew the lock files
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --group dev pyproject.toml -o requirements-dev.lock

clean: ## remove the environment and everything generated
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
