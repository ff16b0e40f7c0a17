# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
WORKERS ?= auto

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check install -c constraints.txt
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4

# Test processes run side by side, so each keeps to one thread.
test test-slow test-browser notebooks: export OMP_NUM_THREADS = 1

.PHONY: help demo test test-slow test-browser lint docs notebooks bench clean

help:
	@echo "make demo       install, then impute a real data set and print the table (demo/)"
	@echo "make test       install, then lint, types and the fast tests"
	@echo "make test-slow  the heavy statistical checks and fault loops"
	@echo "make test-browser  the page of an assessment in a real browser (make test has it too, where there is one)"
	@echo "make lint       ruff and mypy only"
	@echo "make docs       build the site into site/ (its first page is site/index.html)"
	@echo "make notebooks  execute every notebook in place"
	@echo "make bench      measure against another implementation"
	@echo "make clean      remove .venv and caches"

demo: $(VENV)/.runtime
	$(BIN)/pyro-mnar demo --out demo

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.dev
	PYRO_MNAR_RECORD=results/validation $(PYTEST) -m slow

test-browser: $(VENV)/.dev
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
	  { echo "no browser: install Chromium (on Debian: apt-get install chromium)"; exit 1; }
	$(PYTEST) tests/browser

docs: $(VENV)/.dev
	$(BIN)/python docs/site/build.py site

notebooks: $(VENV)/.dev
	$(BIN)/python docs/site/notebooks.py

bench: $(VENV)/.bench
	$(BIN)/python -m pyro_mnar.studies.bench

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site *.egg-info
	find pyro_mnar tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is missing or older than Python 3.11: name a newer one with 'make PYTHON=python3.12 ...'"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) could not make a virtual environment (on Debian: apt install python3-venv)"; exit 1; }

# One call to pip for everything, so that the pinned torch is the only one considered.
$(VENV)/.runtime: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (once, a few minutes)"
	@$(PIP) -e ".[studies]" && touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing into $(VENV) with the tools for development (once, a few minutes)"
	@$(PIP) -e ".[dev,docs,notebooks,studies]" && touch $@ $(VENV)/.runtime

$(VENV)/.bench: $(VENV)/.dev
	@$(PIP) -e ".[bench]" && touch $@
