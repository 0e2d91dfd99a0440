PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet
export OMP_NUM_THREADS ?= 1
export TRUEUP_DATA ?= ../shared/data

.PHONY: help demo news genres elec2 check servers lint types house oracles evidently scores test chaos soak bench clean

help:            ## this list
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=24"

$(VENV)/.loop: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e '.[loop]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) torch==2.13.0
	$(PIP) -c constraints.txt -e '.[all,dev]'
	@touch $@ $(VENV)/.loop

# Servers that cannot live in our environment have one each, made anew only when its list changes.
.venv-mlflow/.done: tests/servers/mlflow.txt
	rm -rf .venv-mlflow
	$(PYTHON) -m venv .venv-mlflow
	.venv-mlflow/bin/python -m pip --disable-pip-version-check install --quiet -r tests/servers/mlflow.txt
	@touch $@

servers: .venv-mlflow/.done  ## a full MLflow for the tests of a remote server (850 MB, about a minute)

demo: $(VENV)/.loop       ## install trueup[loop] and run a year of the films world
	$(BIN)/trueup demo

news: $(VENV)/.dev        ## a small language model learns five weeks of company news; some minutes
	$(BIN)/trueup demo news

genres: $(VENV)/.dev      ## the loop on real films; writes examples/genres/report
	$(BIN)/python examples/genres/study.py

elec2: $(VENV)/.dev       ## triggers against schedules on an electricity market; writes examples/elec2/report
	$(BIN)/python examples/elec2/study.py

check: lint types house test   ## everything that CI runs

lint: $(VENV)/.dev        ## ruff
	$(BIN)/ruff check src tests benchmarks examples

types: $(VENV)/.dev       ## mypy --strict
	$(BIN)/mypy

house: $(VENV)/.dev       ## imports go down only
	$(BIN)/lint-imports

oracles: .venv-oracles/.done  ## other people's statistics, which tests compare ours with

.venv-oracles/.done: tests/oracles/requirements.txt | $(BIN)/python
	rm -rf .venv-oracles
	$(PIP) --no-deps --target .venv-oracles -r tests/oracles/requirements.txt
	@touch $@

evidently: .venv-evidently/.done  ## Evidently, whose scores a test gives a rate

.venv-evidently/.done: tests/monitor/evidently.txt | $(BIN)/python
	rm -rf .venv-evidently
	$(PIP) --target .venv-evidently -r tests/monitor/evidently.txt
	@touch $@

scores: .venv-evidently/.done .venv-nannyml/.done .venv-alibi/.done  ## Evidently, NannyML and alibi-detect, each in a folder of its own

.venv-nannyml/.done .venv-alibi/.done: .venv-%/.done: tests/monitor/%.txt | $(BIN)/python
	rm -rf .venv-$*
	$(PIP) --no-deps --target .venv-$* -r tests/monitor/$*.txt
	@touch $@

test: $(VENV)/.dev .venv-oracles/.done .venv-mlflow/.done scores  ## all tests: unit, statistical, data, chaos
	$(BIN)/pytest -n 2 --dist worksteal

chaos: $(VENV)/.dev       ## the long form of the chaos tests: 1,000 kills
	TRUEUP_CHAOS_KILLS=1000 $(BIN)/pytest -m chaos --timeout 3600

soak: $(VENV)/.dev        ## two years of nightly looks on a simulated clock; some minutes
	$(BIN)/python benchmarks/soak.py

bench: $(VENV)/.dev       ## benchmarks, each beside its peer
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) .venv-mlflow .venv-oracles .venv-evidently .venv-nannyml .venv-alibi .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
