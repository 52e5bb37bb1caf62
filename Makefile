# Everything a developer types. `make help` lists it; every target may be repeated, what stands is used again.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.NOTPARALLEL:

export ARMONIK_CACHE ?= $(HOME)/.cache/armonik-k8s
export UV_CACHE_DIR ?= $(ARMONIK_CACHE)/uv
# Which release, in which namespace, `install` makes and the end-to-end tests expect.
export ARMONIK_E2E_RELEASE ?= armonik
export ARMONIK_E2E_NAMESPACE ?= armonik-system
# Further arguments for `helm upgrade --install`, for pytest, and for the benchmarks (`--only no-op`).
HELM_ARGS ?=
PYTEST_ARGS ?=
# Processes that run integration and end-to-end tests beside each other, which mostly wait. Each has servers or
# a namespace of its own.
TEST_PROCESSES ?= 3
SOAK_EXAMPLES ?= 5000
SOAK_STEPS ?= 100
BENCH_ARGS ?=

export PYTHON ?= python3
BIN := .venv/bin
CLUSTER := $(PYTHON) -m hack.cluster
IMAGES := $(PYTHON) -m hack.images
SOURCES := sdk operator agent tests hack $(wildcard examples bench)
# How the commands of a target reach the cluster: a kubeconfig of ours, never the user's own.
REACH = eval "$$($(CLUSTER) env)"; export PATH="$(CURDIR)/$(BIN):$$PATH"
STAGE = start=$$(date +%s); echo "== $(1)"; trap 'echo "== $(1): $$(( $$(date +%s) - start )) s"' EXIT

.PHONY: help
help: ## Show this list
	@echo "Targets (see docs/development.md):"
	grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.PHONY: demo
demo: install ## From nothing to real work done by real pods
	@$(REACH)
	$(BIN)/python examples/demo.py

.PHONY: test
test: lint test-unit test-simulation test-integration test-e2e ## Everything: lint and all tests

.PHONY: lint
lint: venv verify ## Linter, formatter, types, layers, generated files
	@$(call STAGE,lint)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/mypy --package hack
	$(BIN)/mypy --package bench
	$(BIN)/lint-imports

.PHONY: test-unit
test-unit: venv ## Tests without servers
	@$(call STAGE,unit tests)
	$(BIN)/python -m pytest -q tests/unit -n 2 $(PYTEST_ARGS)

.PHONY: test-simulation
test-simulation: venv ## A whole installation in virtual time, against an adversary
	@$(call STAGE,simulation)
	$(BIN)/python -m pytest -q tests/simulation -n 2 $(PYTEST_ARGS)

.PHONY: soak
soak: venv ## The simulation for long: SOAK_EXAMPLES histories of SOAK_STEPS steps
	@$(call STAGE,soak)
	ARMONIK_SIMULATION_EXAMPLES=$(SOAK_EXAMPLES) ARMONIK_SIMULATION_STEPS=$(SOAK_STEPS) \
	  $(BIN)/python -m pytest -q tests/simulation --timeout 0 $(PYTEST_ARGS)

.PHONY: test-integration
test-integration: venv cluster-build ## Tests against real servers on loopback
	@$(call STAGE,integration tests)
	$(BIN)/python -m pytest -q tests/integration -n $(TEST_PROCESSES) --dist worksteal $(PYTEST_ARGS)

.PHONY: test-e2e
test-e2e: install ## Tests on the real cluster, with the chart installed
	@$(call STAGE,end-to-end tests)
	$(REACH)
	run() { $(BIN)/python -m pytest -q tests/e2e $(PYTEST_ARGS) -m "$$@" || [ $$? = 5 ]; } # 5: none was chosen
	run "e2e and not alone" -n $(TEST_PROCESSES) --dist loadfile
	run "e2e and alone"

# Clients of the benchmarks reach both servers by ports of a node, as docs/install.md advises for real work.
NODE = $$(kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')
bench bench-smoke bench-growth: HELM_ARGS += \
  --set nats.outside.service.type=NodePort,nats.outside.service.nodePort=30422 \
  --set objectStore.outside.service.type=NodePort,objectStore.outside.service.nodePort=30833 \
  --set nats.outside.url=nats://$(NODE):30422 \
  --set objectStore.outside.endpoint=$(NODE):30833,objectStore.outside.secure=false

.PHONY: bench
bench: install ## How fast it is, beside its peers, on the real cluster: table, bench/out (up to 80 minutes)
	@$(REACH)
	$(BIN)/python -m bench $(BENCH_ARGS)

.PHONY: bench-smoke
bench-smoke: install ## Whether the benchmarks work, in a few minutes
	@$(REACH)
	$(BIN)/python -m bench --smoke --repetitions 2 $(BENCH_ARGS)

.PHONY: bench-growth
bench-growth: install ## What an element costs from 1,000 to 1,000,000 of them, and with 1 to 8 pods
	@$(REACH)
	$(BIN)/python -m bench.growth $(BENCH_ARGS)

.PHONY: bench-page
bench-page: venv ## Put the results of the last `make bench` into docs/performance.md
	@$(BIN)/python -m bench.page

.PHONY: cluster-build
cluster-build: ## Build what the local cluster needs into the cache (minutes, once)
	@[ "$$($(CLUSTER) driver)" != local ] || $(CLUSTER) build

.PHONY: cluster-up
cluster-up: venv ## Make a cluster stand: KUBECONTEXT, else kind, else the local control plane
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## Take the cluster down and leave nothing behind
	@$(CLUSTER) down

.PHONY: images
images: cluster-up ## Build the images that changed and load them into the cluster
	@$(IMAGES) load

.PHONY: install
install: images ## Install or upgrade the chart with these images
	@$(REACH)
	"$$ARMONIK_HELM" upgrade --install "$$ARMONIK_E2E_RELEASE" charts/armonik \
	  --namespace "$$ARMONIK_E2E_NAMESPACE" --create-namespace --values charts/armonik/values-local.yaml \
	  --set-string "$$($(IMAGES) helm-values)" --wait --timeout 5m $(HELM_ARGS)

.PHONY: uninstall
uninstall: ## Uninstall the chart; user data stays
	@$(REACH)
	"$$ARMONIK_HELM" uninstall "$$ARMONIK_E2E_RELEASE" --namespace "$$ARMONIK_E2E_NAMESPACE" \
	  --ignore-not-found --wait --timeout 5m

.PHONY: kubeconfig
kubeconfig: ## Print the variables for a shell: eval "$(make -s kubeconfig)"
	@$(CLUSTER) env

.PHONY: venv
venv: .venv/stamp ## Make .venv from requirements.lock

.venv/stamp: requirements.lock sdk/pyproject.toml operator/pyproject.toml agent/pyproject.toml hack/venv.sh
	@hack/venv.sh "$(ARMONIK_CACHE)"
	touch $@

.PHONY: lock
lock: ## Choose the newest dependencies again and pin them
	@hack/lock.sh

.PHONY: crds
crds: venv ## Write crds/ and charts/armonik/crds/ from the models
	@$(BIN)/python hack/crds.py

.PHONY: verify
verify: venv ## Fail when a generated file is not up to date
	@$(BIN)/python hack/crds.py --check
	$(PYTHON) -m hack.images check

.PHONY: format
format: venv ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: clean-cache
clean-cache: ## Take every local cluster down and delete everything built or downloaded
	@$(CLUSTER) clean
