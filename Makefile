PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CALLS ?= 20000
oracle: CASES ?= 1000000
tamper: CASES ?= 10000
FILES ?= 1000
TICKETS ?= 10000
# Installing is repeated when what is installed changes, and only then.
HASH := $(shell cat requirements/dev.txt pyproject.toml | cksum | cut -d ' ' -f 1)
READY := $(VENV)/.ready-$(HASH)
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

# The engines that are measured beside ours live apart from what the product needs.
PEERS := $(VENV)/peers
RESTATE := @restatedev/restate-server@1.7.12
PEERS_READY := $(PEERS)/.ready-$(shell echo $(RESTATE) | cat - requirements/peers.txt | cksum | cut -d ' ' -f 1)

.DEFAULT_GOAL := help
.PHONY: up test replay fuzz uploads oracle tamper demo lint format types docs bench bench-audit bench-reads \
	bench-terminal bench-peers \
	faults drill-restart drill-upgrade record-history timers lock clean help

up: $(READY) ## start the whole stack; Ctrl-C stops it
	@exec $(BIN)/dispatch up

test: $(READY) ## run every test, three files at a time
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

replay: $(READY) ## replay every recorded lifecycle under every policy and release
	REPLAY_EVERY=1 $(BIN)/pytest tests/replay

fuzz: $(READY) ## call everything at random, CALLS=20000 times
	FUZZ_CALLS=$(CALLS) $(BIN)/pytest tests/integration/hostile/test_fuzz.py

oracle: $(READY) ## compare the SLA clock with counting by the minute, CASES=1000000 times
	$(BIN)/python -m tests.unit.clock.cases $(CASES)

tamper: $(READY) ## change one byte of a dossier at random, CASES=10000 times
	TAMPER_CASES=$(CASES) $(BIN)/pytest tests/integration/dossier/test_dossier_verifier.py -k every_changed_byte --timeout 3600

uploads: $(READY) ## upload FILES=1000 files of up to 50 MB over a bad wire, from clients that are killed
	UPLOAD_STORM_FILES=$(FILES) $(BIN)/pytest -s tests/faults/test_upload_storm.py

demo: $(READY) ## walk one ticket from creation to closure, step by step
	@$(BIN)/dispatch demo

lint: $(READY) ## check style, formatting and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(READY) ## format the code and apply safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(READY) ## check types
	$(BIN)/mypy .

docs: $(READY) ## write docs/toolset.md and the terminal's toolset anew from the policy bundle
	$(BIN)/python -m api.openapi.toolset_page > docs/toolset.md
	$(BIN)/python -m cli.tools.toolset_file > cli/tools/toolset.json

bench: $(READY) ## measure the engine against its bare loops
	$(BIN)/python -m bench

bench-audit: $(READY) ## measure anchoring and verification of 100,000 audit rows
	$(BIN)/python -m bench.audit

bench-reads: $(READY) ## measure cockpit, packet and recommendation on 100,000 tickets
	$(BIN)/python -m bench.reads

bench-terminal: $(READY) ## measure what a command costs before it does anything
	$(BIN)/python -m bench.terminal

timers: $(READY) ## let TICKETS=10000 deadlines fall into one minute
	$(BIN)/python -m bench.timers $(TICKETS)

bench-peers: $(READY) $(PEERS_READY) ## measure DBOS and Restate beside it; installs them first
	$(BIN)/python -m bench.peers

faults: $(READY) ## let everything go wrong under load, SEED=1 SECONDS=420 COMMANDS=100000
	$(BIN)/python -m tests.faults $(and $(SEED),--seed $(SEED)) $(and $(SECONDS),--seconds $(SECONDS)) \
		$(and $(COMMANDS),--commands $(COMMANDS))

drill-restart: $(READY) ## restart the workers cold with 500 and 5000 open tickets
	$(BIN)/python -m tests.faults --scenario restart

drill-upgrade: $(READY) ## roll out a next release of the workers with 1000 open tickets
	$(BIN)/python -m tests.faults --scenario upgrade

record-history: $(READY) ## record workflow histories for the replay tests; NAMES="cancel" some of them
	$(BIN)/python -m tests.replay.record $(NAMES)
	$(BIN)/python -m tests.workflow.fingerprint

lock: $(READY) ## pin the newest versions of all dependencies, with hashes
	$(COMPILE) pyproject.toml --upgrade --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --upgrade --extra embedded --extra heic --extra dev --output-file requirements/dev.txt
	$(COMPILE) requirements/heic.in --upgrade --constraint requirements/runtime.txt --output-file requirements/heic.txt
	$(COMPILE) requirements/peers.in --upgrade --constraint requirements/runtime.txt --output-file requirements/peers.txt

clean: ## remove the environment and caches; the stack's data stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name it with: make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.ready-* && touch $@

$(PEERS_READY): requirements/peers.txt | $(READY)
	@command -v npm >/dev/null || { echo "npm is needed: Restate's server is an npm package" >&2; exit 1; }
	@rm -rf $(PEERS) && $(BIN)/python -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/peers.txt
	npm install --prefix $(PEERS) --ignore-scripts --no-save --no-package-lock --no-audit --no-fund --loglevel=error $(RESTATE)
	@touch $@
