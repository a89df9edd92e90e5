# Everything a newcomer or a build server needs. `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Passed on to the command: make demo DEMO="--no-serve", make test TEST="-k golden", make bench BENCH="recovery --kills 20".
DEMO ?=
TEST ?=
BENCH ?= run desk lookup match resolve --html out/bench/speed.html
# Where images set it, each of hundreds of processes would compile all modules: 0.7 s of the 2.0 s of a service's start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check lint format bench protos lock clean

help: ## List the targets.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(VENV)/.installed ## Build a small city, load it, link it and tell what was found; under 2 minutes once installed.
	$(BIN)/mdm demo $(DEMO)

test: $(VENV)/.installed ## Run the tests, three files at a time on two cores.
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(TEST)

check: lint test ## Everything that must hold before a commit: lint, then test.

lint: $(VENV)/.installed ## Formatting, rules, types, layers and protos; no tests.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	BUF=$(BIN)/buf PYTHON=$(PYTHON) scripts/protos.sh --check

format: $(VENV)/.installed ## Rewrite the code as the formatter wants it.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed ## Measure; BENCH names suites and options, see docs/benchmarks.md; without it the calls of a small city.
	$(BIN)/python -m benchmarks $(BENCH)

protos: $(VENV)/.installed ## Write anew what comes from protos/ and options: stubs, docs/errors.md and configuration.md, the service config.
	BUF=$(BIN)/buf PYTHON=$(PYTHON) scripts/protos.sh
	$(BIN)/python scripts/errors_document.py
	$(BIN)/python scripts/service_config.py
	$(BIN)/mdm config reference > docs/configuration.md

lock: ## Resolve requirements.lock anew from pyproject.toml.
	scripts/lock.sh .venv-lock

clean: ## Remove what these targets made, environments included.
	rm -rf $(VENV) .venv-lock .venv-protos build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: requirements.lock pyproject.toml scripts/environment.sh
	scripts/environment.sh $(VENV) $(PYTHON)
