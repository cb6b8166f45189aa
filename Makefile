PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS)

.PHONY: train test test-slow test-families test-wheel test-pythons test-oldest lint audit fuzz faults clean

train: $(VENV)/installed  ## prune the bundled default
	$(BIN)/python scripts/train.py fit --config iterative.yaml

test: $(VENV)/installed-test lint  ## lint, types and all tests but the slow ones
	$(BIN)/python -m pytest --doctest-modules src
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(VENV)/installed-test  ## the slow tests but those of model families
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow --ignore tests/families

test-families: $(VENV)/installed-test  ## every model family with everything that docs/families.md says
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/families

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-pythons:  ## the whole of `make test` on every supported Python that is installed here under its usual name
	for version in 3.11 3.12 3.13; do \
		python$$version --version || exit 1; \
		$(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	done

test-oldest:  ## the tests with the oldest versions of the dependencies that pyproject.toml allows
	$(MAKE) .venv-oldest/installed-test VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile -W default::DeprecationWarning  # of old versions among themselves

# The wheel sits alone in its environment; its dependencies are those of the ordinary one, which also holds the source tree, but
# only as a link that a path file does not follow.
test-wheel: $(VENV)/installed-test  ## build the wheel and run the smoke tests against it, away from the source tree
	rm -rf build dist .venv-wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet --no-deps dist/*.whl
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > $$(echo .venv-wheel/lib/python*/site-packages)/dependencies.pth
	mkdir .venv-wheel/tests && cp tests/test_smoke.py .venv-wheel/tests
	cd .venv-wheel/tests && PATH=$$PWD/../bin:$$PATH PYTHONPATH= ../bin/python -m pytest -q --rootdir . --import-mode importlib test_smoke.py

audit:  ## known vulnerabilities of the pinned dependencies
	test -x .venv-audit/bin/pip-audit || ($(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip install --quiet pip-audit)
	.venv-audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

fuzz: $(VENV)/installed-test  ## 600 broken configurations and mangled files of runs, ten times as many as in `make test`
	FUZZ=600 $(BIN)/python -m pytest tests/cli/test_fuzz.py

faults: $(VENV)/installed-test  ## kill the digits default a dozen times at random moments; needs some minutes
	$(BIN)/python -m scripts.faults.kill_loop

$(VENV)/installed: pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(INSTALL) --editable ".[test]"
	touch $@

clean:
	rm -rf .venv .venv-* build dist src/*.egg-info
