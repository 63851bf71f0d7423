# make demo      install into .venv and run the main job on real worker processes
# make test      install into .venv and run the tests, except long sweeps
# make test-slow the long sweeps, marked slow
# make test-all  both
# make check     formatting, lint, types
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow test-all check clean

demo: .venv/demo
	mkdir -p out
	$(BIN)/kofn demo --out out

test: .venv/installed
	$(BIN)/python -m pytest -q -m 'not slow'

test-slow: .venv/installed
	$(BIN)/python -m pytest -q -m slow

test-all: test test-slow

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# A stamp is newer than pyproject.toml, so a second run installs nothing.
.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

.venv/installed: .venv/demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist out src/kofn.egg-info
