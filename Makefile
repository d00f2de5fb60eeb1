# What people and CI run. Paths are relative and verbs are phony, so a checkout's path may hold spaces.
.DEFAULT_GOAL := help
.PHONY: help install demo demo-cluster test e2e check fmt bench bench-control sim faults binaries scanner crd chart dist lock clean
PYTHON_ENV := .venv/bin/python
# Tests start our programs hundreds of times: without compiled files beside them, each start would compile all of us.
unexport PYTHONDONTWRITEBYTECODE

help:  ## Tell the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

install:  ## Make .venv in the checkout from pinned wheels; the second time does nothing, offline
	@scripts/install.sh venv

demo: install  ## The main job on this machine: three targets, retries, a circuit, a dead letter, a kill -9
	@$(PYTHON_ENV) -m demo.main

demo-cluster: install binaries  ## The same by kubectl apply, against a real Kubernetes API of its own
	@$(PYTHON_ENV) -m demo.cluster

# Files in the order of their folders: left alone, xdist takes those with the fewest tests last, which run longest.
test: install check binaries scanner  ## Everything CI runs: check, what tests need (built once), every test on every core
	$(PYTHON_ENV) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

e2e: install  ## A cluster with two nodes of its own, real pods (Linux, root, containerd); says what is missing, if so
	@$(PYTHON_ENV) -m tests.e2e.cluster $(PYTEST_ARGS)

check: install  ## Format, lint, types, layers, and whether the CRD and docs/api.md still match their types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	$(PYTHON_ENV) -m fanout_crds.generate --check

fmt: install  ## Format and fix what can be fixed
	.venv/bin/ruff check --fix-only --exit-zero .
	.venv/bin/ruff format .

bench: install binaries  ## Measure; bench/README.md says what, how and against what. PROFILE=1: where our CPU goes
	@$(PYTHON_ENV) -m bench.$(if $(PROFILE),profiling,main)

bench-control: install binaries  ## Measure the operator with thousands of routes: ROUTES=10000
	@$(PYTHON_ENV) -m bench.cluster $(if $(ROUTES),--routes $(ROUTES))

faults: install binaries  ## The long fault runs: kills, standstills, full disks, hostile targets; their figures at the end
	$(PYTHON_ENV) -m pytest tests/faults tests/controlplane/test_faults*.py --long $(PYTEST_ARGS)

sim: install  ## The engine in virtual time: SEEDS=100000 of them, or one again by SEED=123
	@$(PYTHON_ENV) -m tests.sim.campaign $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000)) $(if $(FAMILY),--family $(FAMILY))

binaries: install  ## Build Kubernetes' control plane, kubectl, helm and promtool into a cache outside the checkout (about 8 minutes, once)
	@$(PYTHON_ENV) -m tests.harness.binaries

scanner: install  ## Install checkov, which scans the chart, into that cache (a minute, once)
	@$(PYTHON_ENV) -m tests.harness.checkov

crd: install  ## Write the CRD and docs/api.md from their types
	$(PYTHON_ENV) -m fanout_crds.generate

chart: install binaries  ## Write what is made for and from the chart: dashboard, table of values, kustomize base
	$(PYTHON_ENV) -m scripts.chart

dist: install binaries  ## Write dist/install.yaml for `kubectl apply -f`; IMAGE=registry.example.com/fanout:0.1.0 names yours
	@$(PYTHON_ENV) -m scripts.dist $(IMAGE)

lock: install  ## Pin every dependency anew, with hashes
	scripts/lock.sh

clean:  ## Remove what the verbs made in the checkout (the binary cache stays)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
