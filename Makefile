PYTHON ?= python3
BIN := .venv/bin

.PHONY: train test lint clean

train: .venv/installed  ## prune the embedded default
	$(BIN)/python scripts/train.py fit --config iterative.yaml

test: .venv/installed-test lint  ## lint, types and tests
	$(BIN)/python -m pytest

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

clean:
	rm -rf .venv build dist src/*.egg-info
