# Each target works in a fresh clone: the virtual environment is made when it is missing or old.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Clients of other people; two of them want an older `openai` than dmoa and the rest do.
CLIENTS := .venv-clients
# Two tests at a time: what they say of time holds on two processors.
WORKERS := -n 2

.PHONY: demo test quick clients fuzz torture mutants lint bench docs install clean

demo: $(STAMP)  ## four devices on this machine answer prompts together
	@$(BIN)/dmoa demo

test: $(STAMP)  ## all tests
	@$(BIN)/dmoa models get smollm2
	@$(BIN)/pytest $(WORKERS)

quick: $(STAMP)  ## the tests without a real LLM, processes and slow studies
	@$(BIN)/pytest $(WORKERS) -m "not (real or processes or slow)"

clients: $(CLIENTS)/.installed  ## real clients and servers of other people, through a real node
	@$(CLIENTS)/bin/dmoa models get smollm2
	@$(CLIENTS)/bin/python -m pytest tests/clients

fuzz: $(STAMP)  ## 10,000 generated messages, 10,000 requests and servers: no 500, no traceback, nothing that hangs
	@$(BIN)/python -m tests.fuzz

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

$(CLIENTS)/.installed: pyproject.toml
	@$(PYTHON) -m venv $(CLIENTS)
	@echo "installing dmoa and its clients into $(CLIENTS) ..."
	@$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[clients]'
	@$(PYTHON) -m venv $(CLIENTS)/llamaindex
	@$(CLIENTS)/llamaindex/bin/python -m pip install --quiet --disable-pip-version-check \
	  'llama-index-llms-openai-like>=0.8,<0.9'
	@$(PYTHON) -m venv $(CLIENTS)/litellm
	@$(CLIENTS)/litellm/bin/python -m pip install --quiet --disable-pip-version-check \
	  'litellm[proxy]>=1.89,<1.90'
	@touch $@

clean:  ## remove what was installed
	rm -rf $(VENV) $(CLIENTS)
