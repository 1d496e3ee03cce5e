# What one does with this repository. `make` alone lists it.
# PYTHON names the interpreter to make .venv with (3.11 or newer), PORT the demo's port.

PYTHON ?= python3
PORT ?= 8080
ROUNDS ?= 5
SHORT ?= 1
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check

# An environment is made anew when what it was made from changes: this Python, this folder, what is asked for.
# The settings of the tools, which follow [project] in pyproject.toml, are no part of that.
PRODUCT_KEY := $(shell { $(PYTHON) -VV; pwd; sed '/^\[tool\.ruff/,$$d' pyproject.toml; cat requirements/runtime.txt; } 2>&1 | cksum | cut -d ' ' -f 1)
TOOLS_KEY := $(PRODUCT_KEY)-$(shell cat requirements/dev.txt requirements/dev-constraints.txt | cksum | cut -d ' ' -f 1)
PRODUCT := .venv/.product-$(PRODUCT_KEY)
TOOLS := .venv/.tools-$(TOOLS_KEY)

.PHONY: help demo test check fix docs prove bench registry rotation records pages conformance screenshots pins clean product tools

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 13

demo: $(PRODUCT) ## run the gateway in front of real public servers (PORT=8080)
	@exec $(BIN)/python -m demo --port "$(PORT)"

test: $(TOOLS) ## run the whole test suite (ARGS= for pytest)
	@$(BIN)/python -m pytest $(ARGS)

check: $(TOOLS) ## judge format, lint, types, import floors and documents
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python docs/check.py

fix: $(TOOLS) ## mend format and lint where a machine can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(TOOLS) ## check that the documents' links, commands and examples hold
	@$(BIN)/python docs/check.py

prove: $(PRODUCT) ## try the promises about the record on this machine, in short (SHORT= for the whole proofs)
	@$(BIN)/coatcheck prove audit $(if $(SHORT),--short)
	@$(BIN)/coatcheck prove crash $(if $(SHORT),--short)
	@$(BIN)/coatcheck prove tamper $(if $(SHORT),--short)

bench: $(TOOLS) ## measure the gateway beside a direct call and nginx (ROUNDS=5)
	@$(BIN)/python -m bench --rounds $(ROUNDS)

registry: $(TOOLS) ## measure many grants and servers: start, look-ups, memory, revoking (ARGS= for it)
	@$(BIN)/python -m bench.registry $(ARGS)

rotation: $(TOOLS) ## measure rotations under load: time to effect, failed calls, calls with an old secret (ARGS= for it)
	@$(BIN)/python -m bench.rotation $(ARGS)

records: $(TOOLS) ## measure searches and exports of ten million calls; takes 16 GB and ten minutes (ARGS= for it)
	@$(BIN)/python -m bench.records $(ARGS)

pages: $(TOOLS) ## measure every page of the console at a large company, and calls while people look on (ARGS= for it)
	@$(BIN)/python -m bench.console $(ARGS)

conformance: $(TOOLS) ## run the official conformance suite through the gateway (ARGS= for it)
	@$(BIN)/python -m conformance $(ARGS)

screenshots: $(TOOLS) ## remake the pictures in docs/screenshots with Chromium (ARGS= for it)
	@$(BIN)/python -m screenshots $(ARGS)

pins: $(TOOLS) ## resolve anew what the pinned packages bring along
	@$(BIN)/python -m demo.pins

clean: ## remove everything that was made
	@rm -rf .venv .demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

product: $(PRODUCT) ## make .venv with Coatcheck alone
tools: $(TOOLS) ## make .venv with Coatcheck and everything that checks it

$(PRODUCT):
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here: install Python 3.11 or newer, or name one, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Coatcheck needs Python 3.11 or newer and $(PYTHON) is $$("$(PYTHON)" -V 2>&1): name a newer one, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "make: installing Coatcheck into .venv" >&2
	@rm -rf .venv
	@"$(PYTHON)" -m venv .venv || { rm -rf .venv; echo "$(PYTHON) cannot make environments: install its venv module (Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@$(PIP) --editable . --constraint requirements/runtime.txt
	@touch $@

$(TOOLS): $(PRODUCT)
	@echo "make: installing the tools that check and test it" >&2
	@$(PIP) --requirement requirements/dev.txt
	@rm -f .venv/.tools-*
	@touch $@
