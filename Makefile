PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS)

.PHONY: help train test test-slow test-families test-wheel test-pythons test-oldest lint docs audit \
	fuzz faults clean

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

train: $(VENV)/installed  ## prune the bundled ViT on the bundled digits to 80 %; installs first
	$(BIN)/python scripts/train.py fit --config iterative.yaml

test: $(VENV)/installed-test lint  ## run lint, type checks, doctests and all tests except the slow ones
	$(BIN)/python -m pytest --doctest-modules src
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(VENV)/installed-test  ## run the slow tests, except those of model families
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow --ignore tests/families

test-families: $(VENV)/installed-test  ## check docs/families.md: every model family with every feature
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/families

lint: $(VENV)/installed-test  ## run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-pythons:  ## run `make test` with Python 3.11, 3.12 and 3.13, which must be installed
	for version in 3.11 3.12 3.13; do \
		python$$version --version || exit 1; \
		$(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	done

test-oldest:  ## run the tests with the oldest dependencies that pyproject.toml allows
	$(MAKE) .venv-oldest/installed-test VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile -W default::DeprecationWarning  # of old versions among themselves

# The wheel sits alone in its environment; its dependencies are those of the ordinary one, which also holds the source tree, but
# only as a link that a path file does not follow.
test-wheel: $(VENV)/installed-test  ## build the wheel and run the smoke tests without the source tree
	rm -rf build dist .venv-wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet --no-deps dist/*.whl
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > $$(echo .venv-wheel/lib/python*/site-packages)/dependencies.pth
	mkdir .venv-wheel/tests && cp tests/test_smoke.py .venv-wheel/tests
	cd .venv-wheel/tests && PATH=$$PWD/../bin:$$PATH PYTHONPATH= ../bin/python -m pytest -q --rootdir . --import-mode importlib test_smoke.py

docs: $(VENV)/installed-test  ## build the documentation in build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict  # finds scripts in this folder

audit:  ## look for known vulnerabilities of the pinned dependencies
	test -x .venv-audit/bin/pip-audit || ($(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip install --quiet pip-audit)
	.venv-audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

fuzz: $(VENV)/installed-test  ## try 600 broken configurations and damaged files of runs, ten times as many as `make test`
	FUZZ=600 $(BIN)/python -m pytest tests/cli/test_fuzz.py

faults: $(VENV)/installed-test  ## kill the default run twelve times at random moments and resume it; takes minutes
	$(BIN)/python -m scripts.faults.kill_loop

$(VENV)/installed: pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(INSTALL) --editable ".[test]"
	touch $@

clean:  ## remove environments and build folders
	rm -rf .venv .venv-* build dist src/*.egg-info
