# What a newcomer types: `make demo`, `make test`. Needs only Python >= 3.11, make and pip; everything goes into .venv.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two processes: the tests that start processes of their own want the rest of the machine.
WORKERS ?= 2
ARGS ?=
ONLY ?=
COMPILED ?=
# Tests start hundreds of processes: each would compile the package anew, 0.35 s of CPU, where a shell forbids bytecode files.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types architecture chaos soak bench mutation wheel clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# The stamps make a second run quick; pyproject.toml is the only thing that makes them stale.
$(VENV)/.runs: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Choreo needs Python >= 3.11: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.tests: pyproject.toml $(VENV)/.runs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,otel]'
	@touch $@

demo: $(VENV)/.runs ## the sample shop and its order saga on the embedded log (ARGS="--orders DIR ...")
	$(BIN)/choreo demo $(ARGS)

test: $(VENV)/.tests ## the whole suite; starts a real Kafka by itself (ARGS="-k name ...")
	$(BIN)/python -m tests.kafka.broker run -- $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --durations=30 --durations-min=5 $(ARGS)

lint: $(VENV)/.tests ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.tests ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.tests ## mypy --strict, then pyright on the face and the services
	$(BIN)/mypy --strict choreo services
	$(BIN)/mypy --strict tests/typing
	$(BIN)/pyright

architecture: $(VENV)/.tests ## floors, sizes, names
	$(BIN)/python -m pytest -q tests/test_architecture.py

chaos: $(VENV)/.tests ## all real orders under more than 100 kills on each log, and whole logs read again (an hour; docs/chaos.md)
	$(BIN)/python -m tests.chaos $(ARGS)

soak: $(VENV)/.tests ## the same for a long time: make soak ARGS="--minutes 60"
	$(BIN)/python -m tests.chaos --minutes 30 $(ARGS)

bench: $(VENV)/.tests ## speed and memory, a line of JSON a figure; starts a Kafka by itself (ONLY="events latency")
	@$(BIN)/python -m benchmarks $(ARGS) $(ONLY)

mutation: $(VENV)/.tests ## how many mutants of `decide` the tests catch, and which they don't (minutes; docs/mutation.md)
	$(BIN)/python -m tests.mutation $(ARGS)

wheel: $(VENV)/.tests ## build the wheel into dist/ (COMPILED=1: for this platform, a third less CPU an event)
	CHOREO_COMPILED=$(COMPILED) $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## everything that can be made again
	rm -rf $(VENV) .choreo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
