# Everything a developer types. `make help` lists it; every target may be repeated.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

export ARMONIK_CACHE ?= $(HOME)/.cache/armonik-k8s
export UV_CACHE_DIR ?= $(ARMONIK_CACHE)/uv
PYTHON ?= python3
BIN := .venv/bin
PATHS := sdk operator agent tests hack $(wildcard examples/*.py examples/*/*.py) $(wildcard bench)
STAGE = start=$$(date +%s); echo "== $(1)"; trap 'echo "== $(1): $$(( $$(date +%s) - start )) s"' EXIT

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.venv/stamp: requirements.lock sdk/pyproject.toml operator/pyproject.toml agent/pyproject.toml
	command -v uv >/dev/null || { echo "installing uv with pip"; $(PYTHON) -m pip install --quiet uv; }
	[ -x $(BIN)/python ] || uv venv --quiet --python ">=3.11" .venv
	uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps -e sdk -e operator -e agent
	touch $@

.PHONY: venv
venv: .venv/stamp ## Make .venv from requirements.lock

.PHONY: lock
lock: ## Choose the newest dependencies again and pin them in requirements.lock
	uv export --upgrade --all-packages --all-groups --no-emit-workspace --no-header --no-annotate --quiet -o requirements.lock

.PHONY: crds
crds: venv ## Write crds/ and charts/armonik/crds/ from the models
	$(BIN)/python hack/crds.py

.PHONY: verify
verify: venv ## Fail when a generated file is not up to date
	$(BIN)/python hack/crds.py --check

.PHONY: format
format: venv ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix $(PATHS)
	$(BIN)/ruff format $(PATHS)

.PHONY: lint
lint: venv verify ## Linter, formatter, types, layers
	@$(call STAGE,lint)
	$(BIN)/ruff check $(PATHS)
	$(BIN)/ruff format --check $(PATHS)
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test
test: lint test-unit test-integration test-e2e ## Everything: lint, unit, integration and end-to-end tests

.PHONY: test-unit
test-unit: venv ## Tests without servers
	@$(call STAGE,unit tests)
	$(BIN)/python -m pytest -q tests/unit

.PHONY: test-integration
test-integration: venv cluster-build ## Tests against real servers on loopback
	@$(call STAGE,integration tests)
	$(BIN)/python -m pytest -q tests/integration

.PHONY: test-e2e
test-e2e: venv cluster-up ## Tests on the real cluster
	@$(call STAGE,end-to-end tests)
	eval "$$($(PYTHON) -m hack.cluster env)"
	$(BIN)/python -m pytest -q tests/e2e

.PHONY: cluster-build
cluster-build: ## Build what the local cluster needs into the cache (minutes the first time)
	$(PYTHON) -m hack.cluster build

.PHONY: cluster-up
cluster-up: ## Make a cluster stand: KUBECONTEXT, else kind, else the local control plane
	$(PYTHON) -m hack.cluster up

.PHONY: cluster-down
cluster-down: ## Take the cluster down and leave nothing behind
	$(PYTHON) -m hack.cluster down

.PHONY: clean-cache
clean-cache: ## Delete everything built or downloaded
	rm -rf "$(ARMONIK_CACHE)"
