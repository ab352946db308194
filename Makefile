# Everything that a developer runs. Each target sets up what it needs, under build/.
#
#   make demo    the main job: the classic sample, then a real transfer
#   make test    all tests, on every supported Python that is found; see ONCE
#   make check   formatting, lint, types, stubs, C warnings, sanitizers, models, instructions
#   make models  the models of the protocols, and the mistakes that they must notice
#   make bench   measure against the rivals
#   make stress  kill processes that share all kinds of objects for a minute; damage some
#   make fuzz    feed damaged objects to the checks of the C core, with libFuzzer
#   make docs    the documentation as HTML, into build/docs
#   make clean   remove build/
#
# One Python only: make test PYTHONS=/usr/bin/python3.12

SHELL = /bin/sh
MAKEFLAGS += --no-builtin-rules

ifndef PYTHONS
PYTHONS := $(shell tools/pythons)
endif
PYTHON := $(firstword $(PYTHONS))
# How many tests at a time. The tests wait more than they compute.
JOBS ?= 4
PYTEST_ARGS ?=
# What hardly depends on the Python runs with the first one only: programs in C, and what shows
# figures, examples, the demo or the live screen; and the commands. What is marked as slow runs
# with the first and the last one.
ONCE = --ignore=tests/bench --ignore=tests/examples --ignore=tests/docs --ignore=tests/stress \
	--ignore=tests/crash/test_demo_kill.py --ignore=tests/unit/test_demo_run.py \
	--ignore=tests/cli --ignore-glob=*/inspect/test_screen_*

# What the installed package is made from.
SOURCES = pyproject.toml meson.build meson.options README.md LICENSE \
	$(shell find src include man -type f ! -name '*.pyc')

.PHONY: demo test check models bench stress fuzz docs man clean tools

demo: tools build/main/installed
	build/main/bin/isthmus demo $(DEMO_ARGS)

# ---- Setting up -----------------------------------------------------------------

tools:
	@if [ -z "$(PYTHON)" ]; then \
	    echo "isthmus needs Python 3.11 or newer with its headers and venv." >&2; \
	    echo "On Debian or Ubuntu: apt-get install python3-dev python3-venv" >&2; \
	    echo "On Fedora: dnf install python3-devel" >&2; exit 1; fi
	@if ! command -v $${CC:-cc} >/dev/null; then \
	    echo "isthmus needs a C compiler. On Debian or Ubuntu: apt-get install gcc;" >&2; \
	    echo "on Fedora: dnf install gcc" >&2; exit 1; fi

# The environment of the first Python: demo, check, bench and docs.
build/main/bin/python:
	$(PYTHON) -m venv build/main
	build/main/bin/python -m pip install --quiet --upgrade pip

build/main/installed: build/main/bin/python $(SOURCES)
	build/main/bin/python -m pip install --quiet '.[all]'
	@touch $@

build/main/%-group: build/main/bin/python pyproject.toml
	build/main/bin/python -m pip install --quiet --group $*
	@touch $@

# ---- Tests ------------------------------------------------------------------------

# The others are installed while the first one is tested, by what it leaves of the processors.
test: tools build/main/installed build/main/test-group
	@tools/browser
	@set -e; installing=; \
	trap 'test -z "$$installing" || kill $$installing 2>/dev/null || :' EXIT; \
	( for python in $(wordlist 2,$(words $(PYTHONS)),$(PYTHONS)); do \
	    nice -n 19 tools/test --install "$$python"; done ) & installing=$$!; \
	tools/test $(PYTHON) -n $(JOBS) $(PYTEST_ARGS); \
	wait $$installing; installing=; \
	for python in $(wordlist 2,$(words $(PYTHONS)),$(PYTHONS)); do \
	    case "$$python" in \
	        $(lastword $(PYTHONS))) slow= ;; \
	        *) slow='-m "not slow"' ;; esac; \
	    PYTEST_ADDOPTS="$$slow" tools/test "$$python" -n $(JOBS) $(ONCE) $(PYTEST_ARGS); done

# ---- Checks -----------------------------------------------------------------------

C_FILES = $(shell find src include tests examples bench -name '*.[ch]')
PY_FILES = src tests bench examples docs

check: tools build/main/installed build/main/check-group build/main/test-group
	build/main/bin/ruff format --check $(PY_FILES)
	build/main/bin/ruff check $(PY_FILES)
	PATH="$(CURDIR)/build/main/bin:$$PATH" cython-lint src
	build/main/bin/clang-format --dry-run --Werror $(C_FILES)
	build/main/bin/mypy
	cd build && main/bin/python -m mypy.stubtest --allowlist ../tools/stubtest-allow \
	    --ignore-unused-allowlist isthmus._core.baseline isthmus._core.doorbell isthmus._core.memory \
	    isthmus._core.mending \
	    isthmus._core.posix isthmus._core.posix_ipc isthmus._core.ring isthmus._core.signals \
	    isthmus._core.sync isthmus._core.sysv isthmus._core.sysv_ipc isthmus._core.waiting
	cd build && main/bin/python -m mypy --strict --cache-dir typing-cache ../tests/typing
	tools/check-core build/main/bin
	tools/check-models build/main/bin --no-mutations --no-long
	tools/check-instructions build/main/bin
	@echo "make check: everything passed"

# The models, also the long checks, and all the mistakes that must be noticed: see
# tests/models/check.py.
models: build/main/bin/python
	tools/check-models build/main/bin

# STRESS_SECONDS, STRESS_TRIALS, and more in STRESS_ARGS: --seed N, --processes N.
stress: tools build/main/check-group
	tools/stress build/main/bin

fuzz: tools build/main/check-group
	tools/fuzz build/main/bin

# ---- The rest ---------------------------------------------------------------------

bench: tools build/main/installed build/main/bench-group
	build/main/bin/python bench/run.py $(BENCH_ARGS)

docs: tools build/main/installed build/main/docs-group
	build/main/bin/python -m sphinx -E -W --keep-going -q -d build/docs-cache docs build/docs
	@echo "the documentation is in build/docs/index.html"

# The manual page, after the help of a command has changed.
man: tools build/main/installed build/main/docs-group
	build/main/bin/python tools/man.py

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
