# Two commands on a fresh machine: `make run` and `make test`; `make test-train` adds what needs PyTorch.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test test-train lint types unit perf clean

run: $(VENV)/.core
	$(BIN)/python cli.py run --method smemnas --space nb201

test: $(VENV)/.dev lint types unit perf

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --ignore=tests/perf

perf: $(VENV)/.dev
	$(BIN)/python -m pytest tests/perf --benchmark-enable

test-train: $(VENV)/.train
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto tests/train
	$(BIN)/python -m pytest tests/perf/test_perf_train.py tests/perf/test_perf_supernet.py --benchmark-enable

$(VENV)/.core: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

$(VENV)/.train: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet -e ".[dev,train,ofa]"
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
