PY ?= .venv/bin/python
SHELL := /bin/bash
.DEFAULT_GOAL := help

core: ## compile the Rust core into eventmesh/core (quick profile)
	cargo build --profile quick -p eventmesh-core-py
	cp $${CARGO_TARGET_DIR:-target}/quick/lib_core.so eventmesh/core/_core.abi3.so

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort
