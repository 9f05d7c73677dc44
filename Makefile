# Rookery. `make` alone lists the targets. Works with GNU make 4 and with macOS's 3.81.

.DEFAULT_GOAL := help
.PHONY: help install run reset secrets up down logs test test-kafka e2e soak bench check fmt lock clean

VENV := .venv
BIN := $(VENV)/bin
# Rewritten after each installation, so that a changed lock or pyproject.toml installs again.
STAMP := $(VENV)/.installed
# Passed on to pytest, for example: make test ARGS="libs/eventlog -x"
ARGS ?=
# What the end-to-end tests run against: local or compose.
TARGET ?= local

##@ Start here

help: ## List these targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

install: $(STAMP) ## Make the virtual environment in .venv and install the locked packages

run: $(STAMP) ## Start the whole local stack with a demo workspace; Ctrl-C stops it
	@exec $(BIN)/python -m deploy.local up

reset: $(STAMP) ## Throw away the local stack's data and secrets (.rookery)
	@exec $(BIN)/python -m deploy.local reset

##@ Run it in containers (Docker or Podman)

# These need no virtual environment.
CONTAINERS = $(firstword $(wildcard $(BIN)/python) python3) -m deploy.compose

secrets: ## Write what is missing into .env; SIMULATOR=1: with simulated platforms and a demo
	@exec $(CONTAINERS) secrets $(if $(SIMULATOR),--simulator)

up: ## Build the images, start the containers, wait until all is healthy
	@exec $(CONTAINERS) up

down: ## Stop and remove the containers; the data stays
	@exec $(CONTAINERS) down

logs: ## Follow what the containers say
	@exec $(CONTAINERS) logs

##@ Test

test: $(STAMP) ## Unit and integration tests on a real PostgreSQL and the embedded broker
	@exec $(BIN)/python -m pytest $(ARGS)

test-kafka: $(STAMP) ## Every test that uses a broker, on Apache Kafka; BROKER=cluster: three nodes
	@$(BIN)/python -m libs.testing.servers
	@ROOKERY_TEST_BROKER=$(or $(BROKER),apache) exec $(BIN)/python -m pytest --only-broker $(ARGS)

e2e: $(STAMP) ## Journeys and faults; TARGET=compose: journeys through containers of their own
	@ROOKERY_E2E_TARGET=$(TARGET) exec $(BIN)/python -m pytest \
	  $(if $(filter compose,$(TARGET)),tests-e2e/test_journeys.py tests-e2e/test_compose.py,tests-e2e) $(ARGS)

soak: $(STAMP) ## Random faults for MINUTES=30 on a cluster of brokers; SEED=n chooses them again
	@exec $(BIN)/python -m pytest tests-e2e/test_cluster.py -k at_random --capture=no \
	  --soak $(or $(MINUTES),30) --seed $(or $(SEED),$(shell date +%s)) $(ARGS)

bench: $(STAMP) ## Measure each hot path beside its limit; ARGS="append --rounds 5" for one part
	@exec $(BIN)/python -m benchmarks $(ARGS)

##@ Backups

.PHONY: restore-drill
restore-drill: $(STAMP) ## Restore the newest backup on the side, prove it; ARGS="--to 2026-03-01T12:00Z"
	@exec $(BIN)/python -m deploy.backup drill $(ARGS)

##@ Work on it

check: $(STAMP) ## Format, lint, types and import boundaries; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests-e2e
	$(BIN)/lint-imports

fmt: $(STAMP) ## Format the code and apply the linter's safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP) ## Resolve pyproject.toml into the two hashed lock files (UPGRADE=1: newest versions)
	$(LOCK) --output-file requirements.txt pyproject.toml
	$(LOCK) --extra dev --output-file requirements-dev.txt pyproject.toml

clean: ## Remove the virtual environment and every cache; data in .rookery stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-annotate --no-header $(if $(UPGRADE),--upgrade)

$(STAMP): requirements-dev.txt pyproject.toml
	@set -e; \
	if [ ! -x $(BIN)/python ]; then \
	  for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	    if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	      2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "Rookery needs Python 3.11 or newer with its venv module, and none was found." >&2; \
	    echo "Install one (python.org; Debian: python3 and python3-venv), or name one:" >&2; \
	    echo "  make install PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$found" --version)"; \
	  "$$found" -m venv $(VENV); \
	fi; \
	echo "Installing the locked packages"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes -r requirements-dev.txt; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation -e .; \
	touch $(STAMP)
