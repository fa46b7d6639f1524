# `make help` lists the targets. They write to this folder only: .uv (the installer), .venv (the tools), .venv-ministack
# (the local AWS), .venv-checkov (a linter), .cache (downloads), and .aws-sam (the build).
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Some images set this, but without bytecode Python compiles every module at each start.
unexport PYTHONDONTWRITEBYTECODE
# uv must not use another project's activated environment.
unexport VIRTUAL_ENV

UV_VERSION := 0.13.9
UV := .uv/bin/uv
PYTHON := .venv/bin/python
ARGS ?=
TESTS ?= tests
BENCH ?= $(sort $(basename $(notdir $(wildcard benchmarks/[!_]*.py))))
CHECK_SCHEDULES := 200

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A private uv: pyenv hides a uv that pip installed into another Python, because this folder has a .python-version.
$(UV):
	@echo "installing uv $(UV_VERSION) into .uv"
	@rm -rf .uv
	@python3 -m venv .uv 2>/dev/null || PYENV_VERSION=system python3 -m venv .uv 2>/dev/null \
		|| { rm -rf .uv; /usr/bin/python3 -m venv .uv 2>/dev/null; } \
		|| { rm -rf .uv; echo "make needs python3, version 3.8 or later, with venv and pip." \
			"On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.made: requirements-dev.txt .python-version | $(UV)
	@echo "creating .venv (uv downloads Python $$(cat .python-version) if it is not installed)"
	@$(UV) venv --quiet --allow-existing --python "$$(cat .python-version)" .venv
	@$(UV) pip sync --quiet --compile-bytecode --python $(PYTHON) requirements-dev.txt
	@touch $@

.venv-ministack/.made: requirements-ministack.txt .python-version | $(UV)
	@echo "creating .venv-ministack (the local AWS)"
	@$(UV) venv --quiet --allow-existing --python "$$(cat .python-version)" .venv-ministack
	@$(UV) pip sync --quiet --compile-bytecode --python .venv-ministack/bin/python requirements-ministack.txt
	@touch $@

.venv-checkov/.made: requirements-checkov.txt .python-version | $(UV)
	@echo "creating .venv-checkov (a linter of the templates)"
	@$(UV) venv --quiet --allow-existing --python "$$(cat .python-version)" .venv-checkov
	@$(UV) pip sync --quiet --compile-bytecode --python .venv-checkov/bin/python requirements-checkov.txt
	@touch $@

.PHONY: venv
venv: .venv/.made .venv-ministack/.made ## create the environments, and run nothing

.PHONY: run
run: venv ## run the local stack; ARGS="--api-port 9000 --stripe-port 9001 --aws-port 9002 --data DIR"
	@exec $(PYTHON) -m local $(ARGS)

.PHONY: demo
demo: venv ## make one purchase and print each step, on the running stack or on a new one
	@PYTHONPATH=layers/tuition exec $(PYTHON) -m local.demo $(ARGS)

.PHONY: reconcile
reconcile: .venv/.made ## find changes at Stripe that no webhook delivered; ARGS="--from 2026-11-01 --to 2026-11-23" for a range
	@exec $(PYTHON) -m local.reconcile $(ARGS)

.PHONY: collect
collect: .venv/.made ## collect the payment plans that are due, now and not within 15 minutes; ARGS=--aws, --recompute after a restore
	@exec $(PYTHON) -m local.collect $(ARGS)

.PHONY: check-archive
check-archive: .venv/.made ## compare the archive with the audit table; ARGS="--day 2026-11-23 --repair", --aws
	@exec $(PYTHON) -m local.archive_check $(ARGS)

.PHONY: extend-locks
extend-locks: .venv/.made ## extend or release the archive's locks that end with this year; ARGS=--aws for a deployed stack
	@exec $(PYTHON) -m local.archive_locks $(ARGS)

.PHONY: erase-again
erase-again: .venv/.made ## do every erasure again after a restore of the tables; ARGS=--aws for a deployed stack
	@exec $(PYTHON) -m local.erase_again $(ARGS)

.PHONY: recount
recount: .venv/.made ## recount all figures of analytics, and correct those that differ; ARGS=--aws for a deployed stack
	@exec $(PYTHON) -m local.recount $(ARGS)

.PHONY: retention
retention: .venv/.made ## show the payments that the yearly deletion has listed; ARGS=--aws for a deployed stack
	@exec $(PYTHON) -m local.retention $(ARGS)

.PHONY: audit
audit: .venv/.made ## compare our books with Stripe's; ARGS="--from 2026-11-01 --to 2026-11-23" for a range
	@PYTHONPATH=layers/tuition exec $(PYTHON) -m local.audit $(ARGS)

.PHONY: replay
replay: .venv/.made ## publish audit records again, day by day; ARGS="--payment pay_…" or "--day 2026-11-23" for a part
	@exec $(PYTHON) -m local.replay $(ARGS)

.PHONY: digest
digest: .venv/.made ## sign the digests of all full hours that have none; ARGS=--aws for a deployed stack
	@exec $(PYTHON) -m local.digest $(ARGS)

.PHONY: auditor-copy
auditor-copy: .venv/.made ## copy archive, digests, keys and the verifier; DIR=copy is the folder, ARGS=--aws for a deployed stack
	@exec $(PYTHON) -m local.auditor_copy $(DIR) $(ARGS)

.PHONY: verify
verify: .venv/.made ## verify the audit chains in the tables, and what they lead to; ARGS="--copy copy" with an auditor's copy, --aws
	@PYTHONPATH=layers/tuition $(PYTHON) -m local.verify $(ARGS)

.PHONY: rollback
rollback: .venv/.made ## let the aliases name the versions before a bad release; ARGS="--aws --before 2026-11-28T14:00Z"
	@exec $(PYTHON) -m local.rollback $(ARGS)

.PHONY: check
check: static ## ruff, mypy, the unit tests and a short search, in under a minute
	@TUITION_SCHEDULES=$(CHECK_SCHEDULES) $(PYTHON) -m pytest -q -n 2 tests/unit tests/model/test_search.py $(ARGS)

.PHONY: test-tools
test-tools: venv
	@$(PYTHON) -m local.build --quiet
	@$(PYTHON) -m local.dynamodb_local
	@$(PYTHON) -m local.chromium
	@$(PYTHON) -m local.vendored

.PHONY: test
test: test-tools ## run every test; ARGS="-k refund" for some, TESTS=tests/unit for a folder
	@$(PYTHON) -m pytest -n 3 --durations=20 $(TESTS) $(ARGS)

.PHONY: compat
compat: venv ## write what this version writes into tests/compat; ARGS=0.1.0 is the version
	@PYTHONPATH=layers/tuition:functions:. $(PYTHON) -m tests.compat.write_release $(ARGS) > /dev/null

.PHONY: watch
watch: venv ## check that ARGS=https://… serves the pages of this repository
	@$(PYTHON) -m local.watch $(ARGS)

.PHONY: screenshots
screenshots: venv ## retake the pictures of docs/images with the browser tests
	@$(PYTHON) -m local.build --quiet
	@$(PYTHON) -m local.chromium
	@$(PYTHON) -m pytest -q tests/stack/browser/test_student_page.py tests/stack/browser/test_promotion_codes.py \
		tests/stack/browser/test_plans.py tests/stack/browser/console --screenshots docs/images

.PHONY: live-aws
live-aws: .venv/.made ## set up, buy, refund, check and remove in a sandbox account (costs money; see docs/setup.md)
	@PYTHONPATH=.:layers/tuition $(PYTHON) -m installer.live_aws

.PHONY: soak
soak: test-tools ## run the searches at their full size (hours)
	@$(PYTHON) -m pytest -n 2 -m soak --timeout 0 $(TESTS) $(ARGS)

.PHONY: bench
bench: .venv/.made ## run every benchmark and write its figures (long); BENCH=cold_start ARGS="--rounds 5" for one
	@$(PYTHON) -m local.build --quiet
	@export PYTHONPATH=layers/tuition:functions; $(foreach name,$(BENCH),$(PYTHON) -m benchmarks.$(name) $(ARGS);)

.PHONY: openapi
openapi: .venv/.made ## make web/api/openapi.json, the OpenAPI document, from functions/api_schema
	@PYTHONPATH=layers/tuition:functions $(PYTHON) -m tools.openapi

.PHONY: capacity
capacity: .venv/.made ## compute where each part breaks, from benchmarks/capacity.json, into docs/operations.md
	@PYTHONPATH=layers/tuition $(PYTHON) -m tools.capacity

.PHONY: costs
costs: .venv/.made ## compute the cost of purchases, from benchmarks/capacity.json and tools/prices.json, into docs/costs.md
	@PYTHONPATH=layers/tuition $(PYTHON) -m tools.costs

.PHONY: structure
structure: .venv/.made ## print the rooms, the imports between them, and import cycles
	@$(PYTHON) -m tools.structure

.PHONY: static
static: .venv/.made
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy layers/tuition/tuition functions installer local stripe_simulator tools verifier
	@.venv/bin/mypy --python-version 3.11 stripe_simulator

.PHONY: lint
lint: static .venv-checkov/.made ## check style, types and the templates (make test looks for dead code)
	@$(PYTHON) -m tools.lint_templates

.PHONY: format
format: .venv/.made ## format the code with ruff
	@.venv/bin/ruff check --fix-only .
	@.venv/bin/ruff format .

.PHONY: build
build: .venv/.made ## build .aws-sam/build, which install.py deploys, with bytecode that Lambda can use
	@$(PYTHON) -m local.build --always

.PHONY: lock
lock: $(UV) ## resolve requirements-*.in to requirements-*.txt
	@$(UV) pip compile --quiet --universal --python-version 3.13 --custom-compile-command "make lock" requirements-dev.in -o requirements-dev.txt
	@$(UV) pip compile --quiet --universal --python-version 3.13 --custom-compile-command "make lock" layers/tuition/requirements.in --constraint requirements-dev.txt -o layers/tuition/requirements.txt
	@$(UV) pip compile --quiet --universal --python-version 3.13 --custom-compile-command "make lock" requirements-install.in --constraint requirements-dev.txt -o requirements-install.txt
	@$(UV) pip compile --quiet --universal --python-version 3.13 --custom-compile-command "make lock" requirements-ministack.in -o requirements-ministack.txt
	@$(UV) pip compile --quiet --universal --python-version 3.13 --custom-compile-command "make lock" requirements-checkov.in -o requirements-checkov.txt

.PHONY: clean
clean: ## remove the build and the environments, but not the downloads
	@rm -rf .aws-sam .venv .venv-ministack .venv-checkov .uv
