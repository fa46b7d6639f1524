# Tuition: `make help` lists what there is. Everything is made in this folder: .uv (the installer), .venv (the tools),
# .venv-ministack (the local AWS), .cache (downloads) and .aws-sam (the build).
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Some images forbid Python to write bytecode; without it every start compiles everything again.
unexport PYTHONDONTWRITEBYTECODE
# An activated environment of somebody else must not be mistaken for ours.
unexport VIRTUAL_ENV

UV_VERSION := 0.13.9
UV := .uv/bin/uv
PYTHON := .venv/bin/python
ARGS ?=
TESTS ?= tests
BENCH ?= $(sort $(basename $(notdir $(wildcard benchmarks/[!_]*.py))))

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A uv of our own: the one that pip puts into another Python is hidden by pyenv as soon as .python-version stands here.
$(UV):
	@echo "making .uv (uv $(UV_VERSION))"
	@rm -rf .uv
	@python3 -m venv .uv 2>/dev/null || PYENV_VERSION=system python3 -m venv .uv 2>/dev/null \
		|| { rm -rf .uv; /usr/bin/python3 -m venv .uv 2>/dev/null; } \
		|| { rm -rf .uv; echo "make needs a python3 with venv and pip, of any version from 3.8 on" \
			"(Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.made: requirements-dev.txt .python-version | $(UV)
	@echo "making .venv (Python $$(cat .python-version); uv brings one if there is none)"
	@$(UV) venv --quiet --allow-existing --python "$$(cat .python-version)" .venv
	@$(UV) pip sync --quiet --compile-bytecode --python $(PYTHON) requirements-dev.txt
	@touch $@

.venv-ministack/.made: requirements-ministack.txt .python-version | $(UV)
	@echo "making .venv-ministack (the local AWS)"
	@$(UV) venv --quiet --allow-existing --python "$$(cat .python-version)" .venv-ministack
	@$(UV) pip sync --quiet --compile-bytecode --python .venv-ministack/bin/python requirements-ministack.txt
	@touch $@

.PHONY: venv
venv: .venv/.made .venv-ministack/.made ## the environments, without running anything

.PHONY: run
run: venv ## the whole stack on this machine; ARGS="--api-port 9000 --stripe-port 9001 --aws-port 9002 --data DIR"
	@exec $(PYTHON) -m local $(ARGS)

.PHONY: demo
demo: venv ## play the story from sign-in to enrollment; on a running stack, or on one of its own
	@exec $(PYTHON) -m local.demo $(ARGS)

.PHONY: reconcile
reconcile: .venv/.made ## ask Stripe now for what its webhooks did not tell; ARGS="--from 2026-11-01 --to 2026-11-23" for a range
	@exec $(PYTHON) -m local.reconcile $(ARGS)

.PHONY: test
test: venv ## every test; ARGS="-k refund" for some, TESTS=tests/unit for a folder
	@$(PYTHON) -m local.build --quiet
	@$(PYTHON) -m local.dynamodb_local
	@$(PYTHON) -m local.chromium
	@$(PYTHON) -m local.vendored
	@$(PYTHON) -m pytest -n 2 $(TESTS) $(ARGS)

.PHONY: watch
watch: venv ## are the pages served at ARGS=https://… those of this repository?
	@$(PYTHON) -m local.watch $(ARGS)

.PHONY: screenshots
screenshots: venv ## the pictures of docs/images, taken by the browser tests
	@$(PYTHON) -m local.build --quiet
	@$(PYTHON) -m local.chromium
	@$(PYTHON) -m pytest -q tests/stack/browser/test_student_page.py tests/stack/browser/console --screenshots docs/images

.PHONY: soak
soak: venv ## the searches at their full size (long)
	@$(PYTHON) -m pytest -n 2 -m soak --timeout 0 $(TESTS) $(ARGS)

.PHONY: bench
bench: .venv/.made ## every measurement (long), figures beside each in benchmarks/; BENCH=cold_start ARGS="--rounds 5" for one
	@$(PYTHON) -m local.build --quiet
	@export PYTHONPATH=layers/tuition:functions; $(foreach name,$(BENCH),$(PYTHON) -m benchmarks.$(name) $(ARGS);)

.PHONY: lint
lint: .venv/.made ## ruff, mypy --strict, the templates
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy layers/tuition/tuition functions local stripe_simulator
	@SAM_CLI_TELEMETRY=0 .venv/bin/sam validate --lint --region us-east-1 --template template.yaml
	@SAM_CLI_TELEMETRY=0 .venv/bin/sam validate --lint --region us-east-1 --template web.yaml

.PHONY: format
format: .venv/.made ## let ruff lay out the code
	@.venv/bin/ruff check --fix-only .
	@.venv/bin/ruff format .

.PHONY: build
build: .venv/.made ## sam build, then the bytecode that Lambda can use; .aws-sam/build is what `sam deploy` ships
	@$(PYTHON) -m local.build --always

.PHONY: lock
lock: $(UV) ## resolve requirements-*.in again
	@$(UV) pip compile --quiet --universal --python-version 3.13 --custom-compile-command "make lock" requirements-dev.in -o requirements-dev.txt
	@$(UV) pip compile --quiet --universal --python-version 3.13 --custom-compile-command "make lock" layers/tuition/requirements.in --constraint requirements-dev.txt -o layers/tuition/requirements.txt
	@$(UV) pip compile --quiet --universal --python-version 3.13 --custom-compile-command "make lock" requirements-ministack.in -o requirements-ministack.txt

.PHONY: clean
clean: ## remove what make made, but not downloads
	@rm -rf .aws-sam .venv .venv-ministack .uv
