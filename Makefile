# Everything a newcomer needs; `make` alone prints this list.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
ARGS   ?=
BIN    := .venv/bin
READY  := .venv/.ready

.PHONY: help setup run lemur browser test test-slow test-all bench bench-gpu docs lint format type wheel constraints clean

help:  ## Show this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## Make .venv and install everything into it (instant when nothing changed)
	@echo "Ready: $(BIN)/python -m deltanas, or $(BIN)/deltanas"

run: $(READY)  ## Run a search; ARGS="protocol.cycles=2 seed=7" overrides the configuration
	@$(BIN)/python -m deltanas $(ARGS)

lemur: $(READY)  ## Fetch the LEMUR archive (103 MB) for archive=lemur
	@$(BIN)/deltanas-lemur fetch $(ARGS)

# Without it the tests of the report's page are skipped, and say so.
browser:  ## Install Debian's Chromium for the tests of report.html, where that is allowed
	@if command -v chromium > /dev/null && command -v chromedriver > /dev/null; then :; \
	elif ! command -v apt-get > /dev/null || [ "$$(id -u)" != 0 ]; then \
		echo "chromium and chromium-driver are not installed, and apt-get as root is not to be had"; \
	else \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium chromium-driver > /dev/null; } \
			|| echo "apt-get did not manage to install chromium and chromium-driver"; \
	fi

test: $(READY)  ## Run the quick tests; ARGS="-k novelty" is passed to pytest
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-slow: $(READY)  ## Run the slow tests only
	@$(BIN)/python -m pytest -m slow $(ARGS)

test-all: $(READY)  ## Run every test
	@$(BIN)/python -m pytest -m "slow or not slow" $(ARGS)

# The shape check comes last, as it needs LEMUR's networks (make lemur) and stops without them.
bench: $(READY)  ## Measure what a CPU can, into benchmarks/results
	$(BIN)/python benchmarks/evaluation.py --rounds 10
	$(BIN)/python benchmarks/jail_overhead.py
	$(BIN)/python benchmarks/generation.py --rounds 3
	$(BIN)/python benchmarks/tuning.py --rounds 2 --pairs 16
	$(BIN)/python benchmarks/archive.py
	$(BIN)/python benchmarks/whole_run.py
	$(BIN)/python benchmarks/worker_memory.py
	$(BIN)/python benchmarks/meta_gate.py --networks 60

bench-gpu: $(READY)  ## Measure a GPU: a 7B LLM's sizes, and candidates against LEMUR's trainer
	$(BIN)/python benchmarks/generation_gpu.py
	$(BIN)/python benchmarks/tuning.py --gpu
	$(BIN)/python benchmarks/authors_trainer.py --gpu

docs: $(READY)  ## Build the pages of docs/ into site/
	@PYTHONPATH=. NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo site/index.html

lint: $(READY)  ## Check style and layout
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(READY)  ## Mend style and layout where that is safe
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

type: $(READY)  ## Check types
	@$(BIN)/mypy

wheel: $(READY)  ## Build the wheel into dist/
	@$(BIN)/python -m hatchling build -t wheel

constraints: $(READY)  ## Write the versions in .venv to constraints.txt
	@{ sed '/^[^#]/,$$d' constraints.txt; $(BIN)/python -m pip list --format=freeze \
		| grep -viE '^(deltanas|pip|setuptools|uv|triton|(nvidia|cuda)-.*)=='; \
		grep '^bitsandbytes==' constraints.txt; } > .venv/constraints.txt  # of an extra that is not installed
	@mv .venv/constraints.txt constraints.txt

clean:  ## Remove .venv, caches and built files; runs stay
	@rm -rf .venv dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find deltanas tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted set-up starts over. uv is used where pip can install it.
$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is not installed; name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"$(PYTHON) is Python {v.major}.{v.minor}; \
	deltanas needs 3.11 or newer. Name another: make PYTHON=python3.12")'
	@$(BIN)/python -m pip --version > /dev/null 2>&1 \
		|| { echo "Making .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear .venv; }
	@echo "Installing into .venv: on the first time about 3 GB to download and 6 GB on disk, most of it torch"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv \
		&& $(BIN)/uv pip install --compile-bytecode --python $(BIN)/python -e '.[dashboard,dev,docs]' -c constraints.txt \
		|| { echo "uv did not manage it; pip takes over"; \
		$(BIN)/python -m pip install --disable-pip-version-check -e '.[dashboard,dev,docs]' -c constraints.txt; }
	@touch $@
