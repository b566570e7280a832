# Everything a contributor runs. `make help` lists it.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
CLUSTER := $(RUN) -m tests.cluster

# What the long tests begin with: another run, another seed.
SEED := $(or $(SEED),$(shell date +%s))

.DEFAULT_GOAL := help
.PHONY: help dev test test-long lint lint-deploy audit format openapi lock cluster cluster-down test-cluster test-operations minikube kind bench bench-cluster clean registry

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

$(VENV)/ready: requirements/dev.txt pyproject.toml
	@echo "setting up $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

dev: $(VENV)/ready ## Run the whole platform on this machine, without a cluster; PORT=N for another than 8080
	@$(VENV)/bin/maxcloud dev $(if $(PORT),--port $(PORT))

test: $(VENV)/ready ## Run the tests that need no cluster, and the journeys on the local engine
	$(RUN) -m pytest

test-long: $(VENV)/ready ## Fuzz with 20,000 requests and write at random for ten minutes; SEED=N repeats a run
	@echo "SEED=$(SEED)"
	$(RUN) -m pytest tests/fuzz tests/faults/test_random.py -s --long --seed=$(SEED) --hypothesis-seed=$(SEED)

lint: $(VENV)/ready ## Check style, types, import rules and that generated files are fresh
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

lint-deploy: ## Check shell scripts and workflows; needs shellcheck and Go
	shellcheck .ci/run deploy/roll-out deploy/build-image deploy/laptop/up deploy/hetzner/maxcloud_hetzner/start-k3s.sh
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 -shellcheck shellcheck

audit: $(VENV)/audit/bin/pip-audit ## Look for known weaknesses in the packages of the images
	@# Strictly: else it finds no weakness in what it could not ask about.
	@$< --strict --require-hashes --disable-pip --progress-spinner off \
	  -r requirements/functions.txt -r requirements/cli.txt || { \
	    echo "Error: a package has a known weakness, or, where it 'could not be audited', PyPI's advisories are out of reach from here" >&2; exit 1; }

$(VENV)/audit/bin/pip-audit:
	@$(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1

format: $(VENV)/ready ## Format the code
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

openapi: $(VENV)/ready ## Write the API's description from the functions' routes
	$(RUN) -m maxcloud.openapi functions

registry: $(VENV)/ready ## Build the private registry's program, CNCF Distribution, for `make dev`
	@$(CLUSTER) registry

cluster: $(VENV)/ready ## Start a real Kubernetes with Knative here, the platform on it (Linux, root)
	$(CLUSTER) up
	$(CLUSTER) install

cluster-down: $(VENV)/ready ## End that cluster and leave nothing of it behind
	$(CLUSTER) down

test-cluster: $(VENV)/ready ## Run journeys and faults on a real cluster that is started for them
	$(CLUSTER) test

test-operations: $(VENV)/ready ## Install, upgrade and mend the platform on such a cluster, under traffic
	$(CLUSTER) operate

minikube: $(VENV)/ready ## Start minikube with the platform on it, at minikube.local (8 GB, 4 CPUs, Docker)
	deploy/laptop/up minikube

kind: $(VENV)/ready ## The same with kind
	deploy/laptop/up kind

bench: $(VENV)/ready ## Measure starts, commands, throughput and scale beside peers, into docs/performance.md
	$(RUN) -m pytest tests/bench --ignore tests/bench/cluster --quiet --capture no

bench-cluster: $(VENV)/ready ## Measure on a running cluster, into docs/performance.md
	$(RUN) -m pytest tests/bench/cluster --quiet --capture no

lock: $(VENV)/ready ## Pin the dependencies anew
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header \
	  --generate-hashes --no-emit-index-url pyproject.toml --extra functions -o requirements/functions.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header \
	  --generate-hashes --no-emit-index-url pyproject.toml -o requirements/cli.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header \
	  --generate-hashes --no-emit-index-url pyproject.toml --all-extras --group dev --group bench -o requirements/dev.txt

clean: ## Remove what was made here
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
