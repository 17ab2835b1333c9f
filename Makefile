# The loop: setup, check, test. Each target works as the first command in a fresh clone.
# Needs only Python 3.11 or newer, make, and the package index that pip is configured for.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
# Further arguments for pytest: make test ARGS="-k ledger"
ARGS ?=

# make campaign SEED=2; SMALL=1: three minutes, printed only
SEED ?= 1
SMALL ?=
ON_UNKNOWN ?= hold reconcile

PY := .venv/bin/python
EXTRAS := [pandas,postgres,rate-limit,redis,sqlite]
# The extra mysql less its client library, which is built from source against a system library: the tests use PyMySQL.
MYSQL := --no-deps apache-airflow-providers-mysql
MADE := build/wheel
CHECKED := $(wildcard airflow_provider_contacts example_dags tests demo bench campaigns)

# A stamp's name holds the digest of its inputs, so that a removed file and a changed branch count as changes too.
digest = $(shell find $(1) -type f ! -name '*.pyc' -exec cksum {} + 2>/dev/null | sort | cksum | cut -d' ' -f1)
PINS := $(call digest,pyproject.toml constraints.txt .ci/install)
LOWER_PINS := $(call digest,pyproject.toml constraints.txt constraints-lower.txt .ci/install)
SOURCES := $(call digest,pyproject.toml README.md LICENSE airflow_provider_contacts)

PEERS := build/peers
PEERS_MADE := $(PEERS)/.made-$(call digest,campaigns/peers-requirements.txt .ci/install)
SIZE := $(if $(SMALL),--kills 20 --records 300 --share 0.1,--write campaigns/RESULTS.md)
# For each of the five properties of the engine.
EXAMPLES := $(if $(SMALL),300,6000)

BENCH_PEERS := build/bench-peers
BENCH_PEERS_MADE := $(BENCH_PEERS)/.made-$(call digest,bench/peers-requirements.txt .ci/install)
BENCH_SIZE := $(if $(SMALL),--small,--write)

TOOLS := .venv/.tools-$(PINS)
WHEEL := $(MADE)/.built-$(SOURCES)
INSTALLED := .venv/.installed-$(PINS)-$(SOURCES)
DISTRIBUTED := .venv/.distributed-$(PINS)
INSTALLED_LOWER := .venv-lower/.installed-$(LOWER_PINS)-$(SOURCES)

MUTMUT := .venv-mutants/.mutmut-3.8.1

# The tests must meet the installed wheel: neither pytest nor a process that a test starts may find the checkout.
TESTED := env -u PYTHONPATH PYTHONSAFEPATH=1 CONTACTS_TEST_INSTALLED=1

# pytest ends with 5 where no test is left; a selection in ARGS may leave none on one of the two sides.
NONE_SELECTED = { code=$$?; [ $$code -eq 5 ] && [ -n "$(subst ",,$(ARGS))" ]; }

# What takes minutes and meets no library that the other tests do not meet; and what imports none.
LONG := bench campaigns concurrent_processes database_away reconcile replay selection settle shared_budget task_ends
ONCE := $(foreach name,$(LONG),--ignore=tests/integration/test_$(name).py) \
  $(foreach name,simulator_* engine* adaptive reconcile* matching,--ignore-glob='tests/unit/test_$(name).py')

# Pins for every Python and platform at once. The lowest are lowest where pyproject.toml names them, newest elsewhere.
COMPILE := .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate \
  --custom-compile-command 'make constraints' --extra pandas --extra postgres --extra rate-limit --extra redis --extra sqlite \
  --extra mysql --no-emit-package mysqlclient

.PHONY: help setup check format test test-unit test-integration test-lower test-distributed mutants demo bench bench-peers campaign campaign-peers constraints clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(INSTALLED) ## make .venv: the wheel of this checkout, and what tests and checks need

check: setup ## formats, lints, imports, types
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	.venv/bin/lint-imports --no-logo
	$(PY) -m mypy $(CHECKED)

format: setup ## write the formats and the safe fixes
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

test: test-unit test-integration ## unit and integration tests, against the installed wheel; -j2 for both at once

test-unit: setup
	$(TESTED) $(PY) -m pytest tests/unit $(ARGS) || $(NONE_SELECTED)

test-integration: setup
	.ci/lasting "looking for MariaDB" .ci/mariadb
	$(TESTED) $(PY) -m pytest tests/integration $(ARGS) || $(NONE_SELECTED)

test-lower: $(INSTALLED_LOWER) ## the same tests with the lowest versions that pyproject.toml admits
	.ci/lasting "looking for MariaDB" .ci/mariadb
	$(TESTED) .venv-lower/bin/python -m pytest tests/unit tests/integration $(ONCE) $(ARGS)

test-distributed: setup $(DISTRIBUTED) ## Airflow on two Celery workers, one of which is killed in the middle
	$(PY) -m tests.distributed.run

mutants: $(MUTMUT) ## mutation testing: about two hours; ARGS="airflow_provider_contacts.engine.policy.*" for a part
	rm -rf mutants
	CONTACTS_EXAMPLES=30 nice .venv-mutants/bin/python -m mutmut run --max-children 2 $(ARGS)
	.ci/mutants

demo: setup ## the main job, end to end, on this machine alone
	$(PY) -m demo.run

bench: setup bench-peers ## how fast, and in how much memory: half an hour; SMALL=1: three minutes, printed only
	$(PY) -m bench.run --peers $(BENCH_PEERS)/bin/python $(BENCH_SIZE) $(ARGS)

bench-peers: $(BENCH_PEERS_MADE) ## other tools that the benchmark compares with, in an environment of their own

campaign: setup campaign-peers ## random pushes, kills, lost answers, lies: what is created twice, or lost
	.ci/lasting "looking for MariaDB" .ci/mariadb
	CONTACTS_EXAMPLES=$(EXAMPLES) $(PY) -m pytest -q --hypothesis-seed=$(SEED) tests/unit/test_engine_properties.py
	$(PY) -m campaigns --seed $(SEED) --on-unknown $(ON_UNKNOWN) --peers $(PEERS)/bin/python $(SIZE)

campaign-peers: $(PEERS_MADE) ## other tools that the campaigns compare with, in an environment of their own

constraints: $(TOOLS) ## resolve anew: constraints.txt (newest) and constraints-lower.txt (lowest)
	mkdir -p build
	$(COMPILE) --group dev --group distributed --group lock --output-file constraints.txt pyproject.toml
	$(COMPILE) --resolution lowest-direct --no-deps --output-file build/lowest.txt pyproject.toml
	$(COMPILE) --group test --constraint build/lowest.txt --output-file constraints-lower.txt pyproject.toml

clean: ## remove everything that these targets made
	rm -rf .venv .venv-lower .venv-mutants mutants .demo build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	.ci/mariadb --remove
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(TOOLS): ## pip, the build backend and, where it can be had, uv
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(PY) || .ci/lasting "making .venv" $(PYTHON) -m venv .venv
	.ci/lasting "installing pip and hatchling" $(PY) -m pip install --quiet --constraint constraints.txt pip hatchling
	.ci/lasting "installing uv" $(PY) -m pip install --quiet --constraint constraints.txt uv || echo "no uv: pip installs the rest, which takes a minute longer"
	rm -f .venv/.tools-*
	touch $@

$(WHEEL): $(TOOLS)
	rm -rf $(MADE)
	.ci/lasting "building the wheel" $(PY) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(MADE) .
	touch $@

$(INSTALLED): $(WHEEL)
	compgen -G '.venv/.installed-$(PINS)-*' >/dev/null || { \
	  .ci/install .venv constraints.txt --group dev "$$(echo $(MADE)/*.whl)$(EXTRAS)" && \
	  .ci/install .venv constraints.txt $(MYSQL); }
	.ci/lasting "installing the wheel" $(PY) -m pip install --quiet --no-deps --force-reinstall $(MADE)/*.whl
	rm -f .venv/.installed-*
	touch $@

$(DISTRIBUTED): | $(INSTALLED)
	.ci/install .venv constraints.txt --group distributed
	rm -f .venv/.distributed-*
	touch $@

$(PEERS_MADE): $(TOOLS)
	rm -rf $(PEERS)
	$(PYTHON) -m venv --without-pip $(PEERS)
	.ci/install $(PEERS) campaigns/peers-requirements.txt --requirement campaigns/peers-requirements.txt
	touch $@

# Without what its packages ask for: the file names all of it but Airflow, which is found in the environment that asks.
$(BENCH_PEERS_MADE): $(TOOLS)
	rm -rf $(BENCH_PEERS)
	$(PYTHON) -m venv --without-pip $(BENCH_PEERS)
	.ci/install $(BENCH_PEERS) bench/peers-requirements.txt --no-deps --requirement bench/peers-requirements.txt
	touch $@

# A place of its own, which sees what the tests need: the tool is no dependency of anything here.
$(MUTMUT): | $(INSTALLED)
	rm -rf .venv-mutants
	$(PY) -m venv .venv-mutants
	$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(echo .venv-mutants/lib/python*/site-packages)/project.pth"
	.venv-mutants/bin/python -m pip install --quiet --constraint constraints.txt mutmut==$(MUTMUT:.venv-mutants/.mutmut-%=%)
	touch $@

$(INSTALLED_LOWER): $(WHEEL)
	test -x .venv-lower/bin/python || $(PYTHON) -m venv --without-pip .venv-lower
	compgen -G '.venv-lower/.installed-$(LOWER_PINS)-*' >/dev/null || \
	  { .ci/install .venv-lower constraints-lower.txt --group test "$$(echo $(MADE)/*.whl)$(EXTRAS)" && \
	  .ci/install .venv-lower constraints-lower.txt $(MYSQL); }
	$(PY) -m pip --python .venv-lower/bin/python install --quiet --no-deps --force-reinstall $(MADE)/*.whl
	rm -f .venv-lower/.installed-*
	touch $@
