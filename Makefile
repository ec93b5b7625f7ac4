# Two commands on a fresh machine: `make run` and `make test`; `make test-train` adds what needs PyTorch.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

LOWEST ?= .venv-lowest

# The tests start hundreds of processes: each compiles the suite anew where Python may not keep its bytecode.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-train test-long gpu test-lowest lint types unit perf archives results docs docs-serve clean

run: $(VENV)/.core
	$(BIN)/python cli.py run --method smemnas --space nb201
	@echo 'Next: source $(BIN)/activate, once in each terminal; then the commands of README.md and docs/tutorial.md.'

# The types are checked by one process, which leaves the other processors to the tests; nothing runs beside those of speed.
test: $(VENV)/.dev lint
	$(MAKE) --jobs=2 types unit
	$(MAKE) perf

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/python tests/link_types.py
	$(BIN)/mypy
	$(BIN)/mypy tests/api_user.py tests/api_mistakes.py

unit: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m "not long" --ignore=tests/perf

perf: $(VENV)/.dev
	$(BIN)/python -m pytest tests/perf --benchmark-enable -m "not long"

test-train: $(VENV)/.train
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m "not long" tests/train

# What takes a good part of a minute each: whole chains of trainings, many kills, baselines that beat random search.
test-long: $(VENV)/.train
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m long --ignore=tests/perf
	$(BIN)/python -m pytest tests/perf --benchmark-enable -m long
	$(BIN)/python -m pytest tests/perf/test_perf_train.py tests/perf/test_perf_supernet.py --benchmark-enable

# What a GPU must show, by the Python that is given (PYTHON=...), with nothing installed: numerics, resuming, speed, memory,
# and as much of the registered experiment as fits into eight minutes; without a GPU the same at toy size. RESULTS=gpu.json
RESULTS ?= gpu.json
DATA ?= digits
gpu:
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-4} $(PYTHON) -m tests.gpu --out "$(RESULTS)" --data "$(DATA)"

# The results that were handed in: every checksum, and some runs of each again, see CONTRIBUTING.md.
archives: $(VENV)/.core
	PYTHON=$(BIN)/python .ci/archives leaderboard

# Every page of results from what is committed: says which files change, none in a clean clone. A few minutes.
results: $(VENV)/.core
	$(BIN)/python docs/make_results.py

# The documentation site: `site/index.html`, which asks no other host; docs-serve shows it and follows changes of mkdocs.yml.
docs: $(VENV)/.docs
	$(BIN)/python docs/make_site.py

docs-serve: $(VENV)/.docs
	$(BIN)/python docs/make_site.py --serve

# The core on the lowest versions that pyproject.toml allows: what shows that its floors are true. Needs uv. Types are
# checked on the newest versions only.
test-lowest:
	uv venv --quiet --clear --python 3.11 $(LOWEST)
	uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct -e ".[dev]"
	$(LOWEST)/bin/ruff check . && $(LOWEST)/bin/ruff format --check .
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n auto --ignore=tests/perf --ignore=tests/train

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -e .
	touch $@

# Without --no-compile pip makes the bytecode of all that is installed, one file after the other, and the tests use little.
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --no-compile -e ".[dev]"
	touch $(VENV)/.core $@

$(VENV)/.train: $(VENV)/.dev
	$(BIN)/python -m pip install --no-compile -e ".[dev,train,ofa]"
	touch $@

$(VENV)/.docs: $(VENV)/.core
	$(BIN)/python -m pip install -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) site build/site .pytest_cache .mypy_cache .ruff_cache
