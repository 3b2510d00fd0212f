# `make up` runs the box; `make test` runs the tests. Both set up what they
# need. Only Python 3.11+, a C/C++ compiler and make have to be there.

PYTHON ?= python3
# A settings file for `make up` and `make pair`; without it the machine's counts, or your own.
CONFIG ?=
# Processes that run tests side by side: most tests wait for sockets and processes.
WORKERS ?= 4
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup up pair test test-all check cover fix test-system test-lowest lock clean

help:  ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/run-installed  ## set up, or update, without running anything

up: $(VENV)/run-installed  ## set up and run the box, with the starter model if none is chosen
	@exec $(BIN)/inglenook up $(if $(CONFIG),--config '$(CONFIG)')

pair: $(VENV)/run-installed  ## let another phone in, while the box runs
	@exec $(BIN)/inglenook pair $(if $(CONFIG),--config '$(CONFIG)')

test: $(VENV)/dev-installed  ## set up and run the fast tests
	$(BIN)/python -m pytest -n $(WORKERS) -m "not system and not slow"

test-all: $(VENV)/dev-installed  ## all tests but those that need root
	$(BIN)/python -m pytest -n $(WORKERS) -m "not system"

check: $(VENV)/dev-installed  ## lint, types and all tests but those that need root
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -n $(WORKERS) -m "not system"

cover: $(VENV)/dev-installed  ## fail unless tests run every branch of modules of rules and words
	rm -f .coverage .coverage.*
	@# Without tests that the measuring itself disturbs: of blocked loops, and of a key pressed twice.
	$(BIN)/python -m coverage run -m pytest -q -n $(WORKERS) -m "not system and not slow" \
	  --ignore=tests/daemon/test_throwing.py --ignore=tests/cli/chat
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m tests.parts.rule_coverage

fix: $(VENV)/dev-installed  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-system: $(VENV)/dev-installed  ## tests that need root: network namespaces, Avahi, a browser
	$(BIN)/python -m pytest -n $(WORKERS) -m system

test-lowest: $(VENV)/dev-installed  ## tests with the oldest dependencies that pyproject.toml allows
	$(PYTHON) -m venv $(VENV)-lowest
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(VENV)-lowest/bin/python --resolution lowest-direct \
	  --editable . --group dev
	$(VENV)-lowest/bin/python -m pytest -m "not system"

lock: $(VENV)/dev-installed  ## pin dependencies anew
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links pyproject.toml --group dev \
	  -c requirements/run.lock -o requirements/dev.lock

clean:  ## remove the virtual environment and caches; models and paired devices stay
	rm -rf $(VENV) $(VENV)-lowest .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/made:
	@command -v $(PYTHON) >/dev/null \
	  || { echo "There is no $(PYTHON) here: sudo apt install python3, or name another: make PYTHON=python3.12 up"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Inglenook needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 up"; exit 1; }
	@command -v $${CC:-cc} >/dev/null && command -v $${CXX:-c++} >/dev/null \
	  || { echo "Inglenook needs a C and C++ compiler: sudo apt install build-essential"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "Inglenook needs Python's venv module: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# Older ones do not keep wheels they built from hashed sources, and would compile again each time.
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=24'
	@touch $@

$(VENV)/run-installed: $(VENV)/made requirements/run.lock pyproject.toml
	@echo "Installing. llama.cpp is compiled once, which takes 5 minutes on two x86 cores, more on a Pi."
	$(BIN)/python -m pip install --require-hashes -r requirements/run.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/dev-installed: $(VENV)/run-installed requirements/dev.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	@touch $@
