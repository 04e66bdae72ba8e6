# `make` lists the targets. Each sets up what it needs in .venv and does so again when its lock file changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check --no-input
CHECKED := $(wildcard runner tests simulators benchmarks) docs/from_code.py

# Two test processes: each starts its own servers on its own folders and ports, so they can't meet. More would
# make the tests that kill processes and wait for deadlines compete for the processor. Tests that must share
# one server process carry the same `xdist_group` mark.
PYTEST := $(BIN)/pytest -n 2 --dist loadgroup

# What Sphinx warns of is an error, and so is a reference that leads nowhere.
SPHINX := -W --keep-going -n -q -d dist/docs/doctrees

.DEFAULT_GOAL := help
.PHONY: help run test lint fmt docs torture bench package lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: export RUNNER__STATE_DIR ?= var
run: $(VENV)/.run ## run the daemon with sample data on 127.0.0.1:8080, imitated systems beside it; ARGS=--once does what is due and ends
	$(BIN)/python -m simulators $(BIN)/runner run --sample $(ARGS)

test: $(VENV)/.dev ## run the whole suite; SERVERS=install installs the real servers it needs, SERVERS=skip doesn't
	tests/servers/install
	@# Tests start hundreds of processes: each would compile everything for itself where Python writes no bytecode.
	$(BIN)/python -m compileall -q runner simulators tests
	$(PYTEST) $(ARGS)

lint: $(VENV)/.dev ## check style, format, types and the floors of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CHECKED)
	$(BIN)/lint-imports --no-logo

fmt: $(VENV)/.dev ## rewrite the code in the project's format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## write the reference anew from the code, and build the documentation into dist/docs
	$(BIN)/python -m docs.from_code
	$(BIN)/python -m sphinx -b html $(SPHINX) docs dist/docs/html
	$(BIN)/python -m sphinx -b man $(SPHINX) docs dist/docs/man

torture: $(VENV)/.dev ## kill and restart the daemon a thousand times, and each connector at every point (hours)
	tests/servers/install
	$(BIN)/pytest -m torture --timeout 7200 $(ARGS)
	$(PYTEST) tests/conformance tests/acceptance/test_faults_points.py -k "crash or die" --all-crash-points --timeout 7200 $(ARGS)

bench: $(VENV)/.bench ## measure speed and memory beside other job queues, print tables
	tests/servers/install redis-server wrk
	$(BIN)/python -m benchmarks $(ARGS)

package: $(VENV)/.run ## build the Debian package into dist/, with the man pages if `make docs` has built them
	packaging/debian/build

lock: ## write the lock files from pyproject.toml; ARGS=--upgrade takes newer versions
	PYTHON=$(PYTHON) requirements/lock $(ARGS)

clean: ## remove .venv and the caches; var/ with its state stays
	rm -rf $(VENV) dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "runner needs Python 3.11 or newer; name it with PYTHON=")'
	$(PYTHON) -m venv $(VENV)

# Stamps: what a lock file asked for is installed. (Only the existence of pip counts, not its age.)
$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/pip
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.run
	$(PIP) install --require-hashes -r requirements/bench.txt
	@touch $@
