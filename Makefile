# Every target works on a fresh clone: what it needs, it makes first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV ?= .venv
PY := $(VENV)/bin/python
CORE := eventmesh/core/_core.abi3.so
RUST := $(shell find crates -name '*.rs' -o -name 'Cargo.toml') Cargo.toml Cargo.lock
SECONDS_EACH ?= 60
SEED ?= 1
export PATH := $(CURDIR)/$(VENV)/bin:$(CURDIR)/.tools/bin:$(PATH)

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "setup: Python environment in $(VENV)"
	@python3 -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt maturin
	@echo "setup: dependencies, and the Rust core (first build: a minute or two)"
	@$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(CORE): $(RUST) | $(VENV)/.ready
	@echo "build: the Rust core"
	@$(PY) -m maturin develop -q --release --skip-install
	@touch $@

.PHONY: setup core demo test test-all check fmt bench fuzz-smoke soak docs conformance peers mosn clean help

# Compiled as pip compiles what it installs: under PYTHONDONTWRITEBYTECODE each start would compile everything anew.
setup: $(VENV)/.ready $(CORE) ## everything a developer needs, in .venv
	@$(PY) -m compileall -q eventmesh

core: ## compile the Rust core with the quick profile: for the edit loop
	cargo build --profile quick -p eventmesh-core-py
	cp $${CARGO_TARGET_DIR:-target}/quick/lib_core.so $(CORE)

demo: setup ## bring the mesh up, deploy the examples, send requests and events, show what happened (KEEP=1 leaves it running)
	@$(PY) -m functions.demo $(if $(KEEP),--keep,)

test: setup ## unit, vector, component and mesh tests, Rust and Python
	cargo test -q --workspace
	$(PY) -m pytest -q -m 'not peer'

test-all: setup peers ## everything: also against Envoy, kn, kubectl, grpcio, NATS, Kafka, Java SOFABolt, HAProxy, nginx
	cargo test -q --workspace
	$(PY) -m pytest -q

check: setup ## format, lint, layers (of Rust too), types, stubs, values, clippy
	ruff format -q --check .
	ruff check -q .
	lint-imports
	mypy
	$(PY) -m mypy.stubtest eventmesh.core._core
	cargo fmt --all --check
	cargo clippy -q --workspace --all-targets -- -D warnings
	@$(PY) tools/rust_circles.py
	@$(PY) tools/rust_share.py
	@$(PY) tools/value_declarations.py

fmt: setup ## format Python and Rust
	ruff check -q --fix . && ruff format -q . && cargo fmt --all

bench: setup peers ## CPU per request, memory, start, cold start: beside Envoy, HAProxy and nginx in the same run
	$(PY) -m benchmarks

fuzz-smoke: ## every decoder and the engine under mutation, SECONDS_EACH=60 per target
	cargo run -q --release -p eventmesh-core-fuzz -- all --seconds $(SECONDS_EACH) --seed $(SEED)

soak: setup peers ## the long versions of crash and chaos tests, and of comparisons with Envoy (SEED=n)
	EVENTMESH_SOAK=1 EVENTMESH_SEED=$(SEED) $(PY) -m pytest -q -x --timeout 1800 tests/mesh tests/peers/test_envoy_access.py tests/sim tests/peers/test_hot_restarts.py tests/peers/test_framing.py tests/peers/test_shared_store_crash.py tests/unit/cloudevents/test_sdk_agreement.py tests/peers/test_cloudevents_js.py tests/peers/test_api_oracle.py tests/component/test_identity_by_token.py

docs: setup ## check that documents and code agree (links, commands, generated tables)
	$(PY) tools/check_docs.py

conformance: setup ## Serving's own conformance suites against a local mesh (needs Go and kubectl; the first build takes minutes)
	@PYTHON=$(PY) tools/run-conformance

peers: ## install the foreign software of tests and benchmarks into .tools
	@tools/install-peers

mosn: setup peers ## MOSN and our sidecar one behind the other, and one beside the other (EVENTMESH_MOSN=its program, if not on PATH)
	$(PY) -m pytest -q tests/peers/with_mosn.py
	$(PY) -m benchmarks bolt

clean: ## remove what was built
	rm -rf target $(VENV) $(CORE) .mypy_cache .ruff_cache .pytest_cache

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
