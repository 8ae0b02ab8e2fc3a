# workroom: `make run` does the main job for real, `make test` runs the tests. Each installs first what it needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VERL := .venv-verl
VERIFIERS := .venv-verifiers
EXAMPLE := examples/station-logs
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/workroom
WORKERS ?= 3 # the tests wait a lot: one more than two cores
ECOSYSTEM := tests/integrations
# What only the builds of torch for a GPU bring along.
OF_TORCH := torch triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc \
  cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet \
  --custom-compile-command "make lock"

.PHONY: help install system browser run image model docker test lint docs bench loop lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install: system $(VENV)/.installed ## Debian packages, virtual environment, workroom itself

system:
	@PYTHON=$(PYTHON) ./scripts/system-packages

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml hatch_build.py $(wildcard src/workroom/sandbox/guest/*.[ch]) | $(BIN)/python
	@echo "· virtual environment in $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Only tests and types need these. The last two come without what they depend on: litellm is kept out of here, and of
# llama-index-core only NLTK's language data are wanted, which no smaller package has.
$(VENV)/.ecosystem: $(ECOSYSTEM)/inspect.lock $(ECOSYSTEM)/mini-swe-agent.lock $(ECOSYSTEM)/language-data.lock $(VENV)/.installed
	@echo "· Inspect AI, mini-swe-agent and language data, to test against"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps $(patsubst %,-r %,$(filter %.lock,$^))
	@touch $@

# What `workroom train` needs. Its lock has everything but torch, whose builds differ from machine to machine.
$(VENV)/.training: $(ECOSYSTEM)/train.lock $(VENV)/.ecosystem
	@echo "· torch and the trainers"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r $(ECOSYSTEM)/train.in
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

# verl caps transformers, so it has an environment of its own, which takes torch, Ray and what else it can from ours.
$(VERL)/.installed: $(ECOSYSTEM)/verl.lock $(VENV)/.training
	@echo "· verl, to test against, in $(VERL)"
	@$(BIN)/python -m venv --clear $(VERL)
	@$(VERL)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r $<
	@cd $(VERL)/lib/python*/site-packages && $(abspath $(BIN)/python) -c \
	  'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' > shared.pth
	@touch $@

# verifiers wants openai 2, so that it has an environment of its own. It loads nearly all that it depends on: 540 MB.
$(VERIFIERS)/.installed: $(ECOSYSTEM)/verifiers.lock
	@echo "· verifiers in $(VERIFIERS), to test against"
	@$(PYTHON) -m venv --clear $(VERIFIERS)
	@$(VERIFIERS)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

image: install
	@$(BIN)/workroom sandbox build

model: install
	@$(BIN)/workroom models pull local/qwen2.5-coder-1.5b

run: image model ## solves a question over five log files with the local model, in a sandbox
	$(BIN)/workroom run @$(EXAMPLE)/task.md -i $(EXAMPLE)/documents

docker: ## a Docker daemon for the tests where none answers (`scripts/docker-daemon stop` ends it)
	@PYTHON=$(PYTHON) ./scripts/docker-daemon start

browser:
	@PYTHON=$(PYTHON) ./scripts/system-packages tests

test: image model browser $(VENV)/.training $(VERL)/.installed $(VERIFIERS)/.installed ## every test, against real sandboxes and a real model server
	@$(BIN)/workroom models pull local/smollm2-135m
	@DOCKER=$$(PYTHON=$(PYTHON) ./scripts/docker-daemon start) && echo "· Docker on $$DOCKER" || true
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

lint: install $(VENV)/.ecosystem ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --cache-dir $(CACHE)/mypy

docs: image ## runs every command that README and docs show
	$(BIN)/python -m pytest tests/test_docs.py

bench: image ## the harness beside bare bubblewrap and bare bash
	$(BIN)/python -m benchmarks.sandbox
	$(BIN)/python -m benchmarks.episodes

loop: image $(VENV)/.ecosystem ## the loop beside mini-swe-agent and Inspect
	$(BIN)/python -m benchmarks.loop

lock: $(BIN)/python ## renews the lock files from pyproject.toml
	$(BIN)/python -m pip install -qq uv
	$(COMPILE) pyproject.toml --all-extras --group dev -o $(VENV)/all.lock # one solution, of which each lock is a part
	$(COMPILE) pyproject.toml --extra local --extra bench --extra serve --extra ray --group dev --constraint $(VENV)/all.lock -o requirements.lock
	$(COMPILE) pyproject.toml --extra train --constraint requirements.lock --constraint $(ECOSYSTEM)/train.in \
	  $(patsubst %,--no-emit-package %,$(OF_TORCH)) -o $(ECOSYSTEM)/train.lock
	$(COMPILE) pyproject.toml --extra inspect --constraint requirements.lock -o $(ECOSYSTEM)/inspect.lock
	echo mini-swe-agent | $(COMPILE) - --no-deps -o $(ECOSYSTEM)/mini-swe-agent.lock
	$(COMPILE) $(ECOSYSTEM)/verifiers.in -o $(ECOSYSTEM)/verifiers.lock
	echo llama-index-core | $(COMPILE) - --no-deps -o $(ECOSYSTEM)/language-data.lock
	$(COMPILE) $(ECOSYSTEM)/verl.in --no-deps -o $(ECOSYSTEM)/verl.lock

clean: ## removes the virtual environment and what the tools left (not the cache in the home directory)
	rm -rf $(VENV) $(VERL) $(VERIFIERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis src/workroom/sandbox/guest/bin
