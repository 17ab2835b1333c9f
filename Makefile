# The commands of this project. Each works as the first one in a fresh clone: it makes the environment that it needs.
# Needs Python 3.11 or newer, make, and the package index that pip is configured for. What they do: noxfile.py.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
# Further arguments: make test ARGS="-k ledger"
ARGS ?=
NOX := .venv/bin/nox --non-interactive --session
SESSIONS := check lower airflow-3.2 airflow-3.3 airflow-3.4 mysql distributed docs dist browser s3 bench campaign mutants constraints

.PHONY: help setup demo ui test test-unit test-integration-0 test-integration-1 $(SESSIONS) format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 8
	@echo "$(SESSIONS)"
	@echo "        sessions of noxfile.py, which says what they do"

setup: .venv/bin/nox ## make .venv: the wheel of this checkout, and what tests and checks need
	$(NOX) setup

demo: setup ## the main job, end to end, on this machine alone
	.venv/bin/python -m demo.run

ui: setup ## the page in Airflow's UI, with pushes to look at; Ctrl-C ends it
	.venv/bin/python -m demo.ui $(ARGS)

test: test-integration-0 test-integration-1 test-unit ## unit and integration tests, against the installed wheel; -j2 for two at once
test-unit: setup
	$(NOX) tests -- tests/unit $(ARGS)
test-integration-0 test-integration-1: test-integration-%: setup
	HALF=$* $(NOX) tests -- $(ARGS)

$(SESSIONS): setup
	$(NOX) $@ -- $(ARGS)

format: setup ## write the formats and the safe fixes
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean: ## remove everything that these targets made
	rm -rf .venv .nox mutants .demo .demo-ui build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	.ci/mariadb --remove
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/nox:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	.ci/lasting "making .venv" $(PYTHON) -m venv .venv
	.ci/lasting "installing nox" .venv/bin/python -m pip install --quiet --constraint constraints.txt nox uv
