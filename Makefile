ifeq ($(filter oneshell,$(.FEATURES)),)
$(error GNU make $(MAKE_VERSION) is too old, 3.82 or newer is needed (macOS: `brew install make`, then type gmake instead of make))
endif
# Everything a developer types. `make help` lists it; every target may be repeated, what exists is used again.
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
# a namespace of its own; of the end-to-end tests there are fewer where the cluster has no room for their pods.
TEST_PROCESSES ?= 3
SOAK_EXAMPLES ?= 5000
SOAK_STEPS ?= 100
# Of the soak on the real cluster: how long, and further arguments (`--seed 7`).
SOAK_MINUTES ?= 20
SOAK_ARGS ?=
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
demo: check-demo install ## From nothing to real work done by real pods
	@$(REACH)
	$(BIN)/python examples/demo.py

.PHONY: check-demo check-test
check-demo check-test: ## Name what this machine lacks for `make demo`, for `make test`
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
	  echo "Python 3.11 or newer is needed as $(PYTHON) (or name another one with PYTHON=…)" >&2
	  exit 1
	}
	$(CLUSTER) $@

.PHONY: test
test: check-test lint test-unit test-simulation test-integration test-e2e ## Everything: lint and all tests

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
	$(BIN)/python -m pytest -q tests/unit tests/behaviours -m "not e2e" -n 2 $(PYTEST_ARGS)

.PHONY: test-simulation
test-simulation: venv ## A whole installation in virtual time, against an adversary
	@$(call STAGE,simulation)
	$(BIN)/python -m pytest -q tests/simulation -n 2 $(PYTEST_ARGS)

.PHONY: soak
soak: venv cluster-build ## The simulation for long (SOAK_EXAMPLES histories of SOAK_STEPS steps), and all properties, on new examples
	@$(call STAGE,soak)
	ARMONIK_SIMULATION_EXAMPLES=$(SOAK_EXAMPLES) ARMONIK_SIMULATION_STEPS=$(SOAK_STEPS) \
	  $(BIN)/python -m pytest -q tests/simulation --timeout 0 --hypothesis-profile random $(PYTEST_ARGS)
	$(BIN)/python -m pytest -q tests/unit tests/integration/test_crd_read.py -n 2 --timeout 0 --hypothesis-profile random $(PYTEST_ARGS)

.PHONY: soak-cluster
soak-cluster: install ## Random users and an adversary on the real cluster for SOAK_MINUTES, checked; curves in bench/out
	@$(call STAGE,soak of the cluster)
	$(REACH)
	PYTHONPATH=.:tests/e2e $(BIN)/python -m tests.soak --minutes $(SOAK_MINUTES) $(SOAK_ARGS)

.PHONY: test-integration
test-integration: venv cluster-build polyglot-build ## Tests against real servers on loopback
	@$(call STAGE,integration tests)
	ARMONIK_LANGUAGES="$(LANGUAGES)" \
	  $(BIN)/python -m hack.again -q tests/integration -n $(TEST_PROCESSES) --dist worksteal $(PYTEST_ARGS)

# Workers on other gRPC libraries, built into the cache. Languages whose toolchain is missing are left out, and said.
LANGUAGES ?= python node go
test-polyglot: LANGUAGES = python node go rust java cpp

# A Python whose Lib/test has the suite of concurrent.futures; many builds leave it out.
FOREIGN_PYTHON ?= $(firstword $(wildcard /usr/local/bin/python3.13 $(HOME)/.pyenv/versions/3.13*/bin/python3.13) python3.13)

.PHONY: test-foreign
test-foreign: venv ## CPython's and joblib's own tests, unchanged, against executors of ours
	@$(call STAGE,foreign test suites)
	hack/foreign.sh "$(ARMONIK_CACHE)" "$(FOREIGN_PYTHON)" $(PYTEST_ARGS)

.PHONY: test-polyglot
test-polyglot: venv cluster-build polyglot-build ## Tests of workers in all languages, with reasons for those left out (10 minutes, once)
	@$(call STAGE,workers in all languages)
	ARMONIK_LANGUAGES="$(LANGUAGES)" $(BIN)/python -m pytest -q -rs tests/integration/test_polyglot.py $(PYTEST_ARGS)

.PHONY: polyglot-build
polyglot-build: venv ## Build the tests' workers in LANGUAGES into the cache (Go, Rust: minutes, once)
	@$(BIN)/python -m hack.polyglot build h2spec $(LANGUAGES)

.PHONY: test-e2e
test-e2e: install ## Tests on the real cluster, with the chart installed
	@$(call STAGE,end-to-end tests)
	$(REACH)
	run() { $(BIN)/python -m hack.again -q tests/e2e tests/behaviours $(PYTEST_ARGS) -m "$$@" || [ $$? = 5 ]; } # 5: none was chosen
	run "e2e and not alone" -n "$$(TEST_PROCESSES=$(TEST_PROCESSES) $(CLUSTER) processes)" --dist loadfile
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

.PHONY: bench-namespaces
bench-namespaces: install ## What 200 namespaces cost operator and NATS, and how soon a new one works; BENCH_ARGS="--count 20"
	@$(REACH)
	$(BIN)/python -m bench.namespaces $(BENCH_ARGS)

.PHONY: bench-restart
bench-restart: venv cluster-build ## What a restart of the operator costs in memory and time; BENCH_ARGS="--scale 0.1" for less
	@$(BIN)/python -m bench.restart $(BENCH_ARGS)

.PHONY: bench-printed
bench-printed: venv cluster-build ## What it costs to keep what elements print; BENCH_ARGS="--count 1000" for less
	@$(BIN)/python -m bench.printed $(BENCH_ARGS)

.PHONY: bench-page
bench-page: venv ## Put the results of the last `make bench` into docs/performance.md
	@$(BIN)/python -m bench.page

.PHONY: cluster-build
cluster-build: ## Build the local cluster, or else the tests' kube-apiserver, into the cache (minutes, once)
	@$(CLUSTER) build

.PHONY: cluster-up
cluster-up: venv ## Bring a cluster up: KUBECONTEXT, else kind, else the local control plane
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## Take the cluster down and leave nothing behind
	@$(CLUSTER) down

.PHONY: images
images: cluster-up ## Build the images that changed and load them into the cluster
	@$(IMAGES) load

# Major and minor; the workers of `make images` have Docker's or Debian's.
WORKER_PYTHON ?= 3.13

.PHONY: worker-image
worker-image: cluster-up ## Build the worker of plain functions for WORKER_PYTHON (3.11 to 3.14) and load it
	@$(IMAGES) load worker-python$(WORKER_PYTHON)

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
	echo 'export PATH="$(CURDIR)/$(BIN):$$PATH"' # kubectl, and Python with our packages

# Parts of a release: wheels, chart, images; worker-python3.13 for workers of another Python.
DIST ?= wheels chart images

.PHONY: dist
dist: venv ## Make the parts of a release (DIST) into dist/: wheels, the chart's package, image archives
	@$(PYTHON) -m hack.dist $(DIST)

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
	@$(BIN)/python -m hack.crds

.PHONY: twins
twins: venv ## Write armonik_sdk.sync from armonik_sdk.aio
	@$(BIN)/python -m hack.generate.sync

.PHONY: cli-page
cli-page: venv ## Write docs/reference/ from the commands of armonikctl
	@$(BIN)/python -m hack.generate.cli

.PHONY: verify
verify: venv ## Fail when a generated file is not up to date
	@$(BIN)/python -m hack.crds --check
	$(BIN)/python -m hack.generate.sync --check
	$(BIN)/python -m hack.generate.cli --check
	$(PYTHON) -m hack.images check

.PHONY: format
format: venv ## Format the code and fix what the linter can
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: clean-cache
clean-cache: ## Take every cluster of ours down and delete everything built or downloaded
	@$(CLUSTER) clean
