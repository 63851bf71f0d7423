# make demo      install into .venv and run the main job on real worker processes
# make test      install into .venv and run the fast tests: at most five minutes on two cores
# make test-slow what is marked slow, and every property on all of its examples
# make test-all  both
# make again     what failed in the last run of either once more, one test after the other
# make test-engine jobs on the engine that KOFN_ENGINE names, as in KOFN_ENGINE=ray make test-engine
# make docs      the site, in out/site: without a network, warnings are errors
# make release-check what must hold before a release: wheel, source distribution, new environments
# make chaos     seeded jobs under faults, on the engine that ENGINE names: ENGINE=threads JOBS=1000 SEED=1 make chaos
# make mutants   whether the tests notice where the source is broken: an hour or so, writes docs/mutants.md
# make figures   every published figure, quick, with a page of all, in out/figures
# make check     formatting, lint, types
PYTHON ?= python3
BIN := .venv/bin

# Tests run in random order in so many processes, each computing on one core; with 0 in pytest's own.
# The same order again: make test ARGUMENTS=--randomly-seed=…, a number that pytest prints.
PROCESSES ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal

.PHONY: demo test test-slow test-all again test-engine docs figures chaos mutants release-check check clean

demo: .venv/demo
	mkdir -p out
	$(BIN)/kofn demo --out out

test: .venv/installed
	$(PYTEST) -m 'not slow' $(ARGUMENTS)

test-slow: .venv/installed
	$(PYTEST) -m 'slow or hypothesis' --hypothesis-profile=long $(ARGUMENTS)

test-all: test test-slow

# Many tests run real processes, which a busy machine can hold up for seconds.
again: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --last-failed --last-failed-no-failures none --randomly-seed=last --hypothesis-profile=long $(ARGUMENTS)

# One process, and so one pool; with MPI a program of four ranks, one of which runs the tests.
MPIRUN = $(BIN)/mpirun --oversubscribe $(if $(filter 0,$(shell id -u)),--allow-run-as-root)
ifeq ($(KOFN_ENGINE),mpi)
RANKS := $(MPIRUN) -n 4
endif

test-engine: .venv/installed
	OMP_NUM_THREADS=1 $(RANKS) $(BIN)/python -m pytest tests/engines/test_any_engine.py $(ARGUMENTS)

docs: .venv/installed
	$(BIN)/python -m sphinx -q -W -E --keep-going -b html docs out/site

release-check: .venv/installed
	$(BIN)/python tools/check_release.py

ENGINE ?= local
JOBS ?= 200
SEED ?= 0

chaos: .venv/installed
	OMP_NUM_THREADS=1 $(if $(filter mpi,$(ENGINE)),$(MPIRUN) -n 5) $(BIN)/python -m kofn.testing.chaos --engine $(ENGINE) --jobs $(JOBS) --seed $(SEED)

mutants: .venv/installed
	$(BIN)/python tools/mutants contexts try page --again

figures: .venv/installed
	mkdir -p out
	$(BIN)/kofn figure --all --quick --out out/figures

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
