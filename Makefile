# Everything a contributor needs; on a fresh machine: Python 3.11 or newer, git and make.

PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo console test test-real check bench bench-service bench-indicators crash crash-syscalls crash-disk crash-stop simulate-faults mutate contracts vendors clean
.DEFAULT_GOAL := demo

demo: $(READY)
	@$(BIN)/hikeshi demo

console: $(READY)
	@$(BIN)/hikeshi demo --console

test: $(READY)
	@$(BIN)/python tests/run_all.py

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

SEEDS ?= 300
FROM ?= 0

simulate-faults: $(READY)
	@$(BIN)/python tests/simulate/run.py --seeds $(SEEDS) --from $(FROM) $(if $(SEED),--seed $(SEED))

# Small defects in the gate, the guardrails and the audit log, and how many of them tests notice. 0 tries them all.
SAMPLE ?= 200
JOBS ?= 1

mutate: $(READY)
	@$(BIN)/python tests/mutation/run.py --sample $(SAMPLE) --jobs $(JOBS)

# Against real servers and kernels: installs what they need, as root and on Debian, and says what it skipped and why.
test-real: $(READY)
	@$(BIN)/python tests/real/run.py

# The contract kit over every connector: products times checks.
contracts: $(READY)
	@$(BIN)/python tests/contract/table.py

# The playbooks that ship against every product: dry, live, and undone.
vendors: $(READY)
	@$(BIN)/python tests/vendors/table.py

bench: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	@$(BIN)/python tests/bench/run.py

# How soon the service is ready and what it takes; 200 events a second for a minute, and once more with a kill in between.
bench-service: $(READY)
	@$(BIN)/python tests/bench/serving.py
	@$(BIN)/python tests/bench/events.py
	@$(BIN)/python tests/bench/events.py --kill

# 100,000 indicators by the playbook beside a client that is written by hand, and a kill in the middle: 25 minutes.
bench-indicators: $(READY)
	@$(BIN)/python tests/bench/indicators.py

crash: $(READY)
	@$(BIN)/python tests/crash/run.py

crash-syscalls: $(READY)
	@$(BIN)/python tests/crash/syscalls.py

crash-disk: $(READY)
	@$(BIN)/python tests/crash/disk.py

crash-stop: $(READY)
	@$(BIN)/python tests/crash/stops.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed, and none was found.' >&2; exit 1; }
	@echo 'Setting up $(VENV) ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
