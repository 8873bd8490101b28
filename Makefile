# Each target works in a fresh clone: the virtual environment is made when it is missing or old.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test quick torture mutants lint bench docs install clean

demo: $(STAMP)  ## four devices on this machine answer prompts together
	@$(BIN)/dmoa demo

test: $(STAMP)  ## all tests
	@$(BIN)/dmoa models get smollm2
	@$(BIN)/pytest

quick: $(STAMP)  ## the tests without a real LLM, processes and slow studies: under a minute
	@$(BIN)/pytest -m "not (real or processes or slow)"

torture: $(STAMP)  ## fresh random schedules of faults for a minute a kind, one JSON line each
	@$(BIN)/python -m tests.torture

mutants: $(STAMP)  ## break the live core on purpose, and list what no test notices: 20 minutes
	@$(BIN)/python -m tests.mutation

lint: $(STAMP)  ## format, lint rules and strict types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(STAMP)  ## the benchmarks, one JSON line each
	@$(BIN)/python -m benchmarks

docs: $(STAMP)  ## write the generated part of the documentation
	@$(BIN)/python docs/generate.py

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "dmoa needs Python 3.11 or newer; set PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@echo "installing dmoa and what it needs into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt -e '.[dev]'
	@touch $(STAMP)

clean:  ## remove what was installed
	rm -rf $(VENV)
