# Python 3.11 and PyPI are all that is needed: every target makes its own environment first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE ?= 1
export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: train test test-slow fuzz gpu lint docs pretrain clean

# the stamp is older than pyproject.toml whenever a dependency changed
$(VENV)/.stamp: pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,sweep]"
	touch $@

train: $(VENV)/.stamp
	$(BIN)/python -m diffperc.train task=depth strategy=meta_prompts

# one process a core
test: $(VENV)/.stamp
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

test-slow: $(VENV)/.stamp
	$(BIN)/python -m pytest -m slow -n auto --dist worksteal

# every parser with files that nobody has written, longer than in the tests: about an hour
fuzz: $(VENV)/.stamp
	FUZZ_EXAMPLES=20000 $(BIN)/python -m pytest tests/fuzz -n auto

# every task and strategy on a GPU against the CPU, then five minutes of speed and memory; says so where there is none
gpu: $(VENV)/.stamp
	$(BIN)/python scripts/check_gpu.py --out results/gpu.md
	$(BIN)/python scripts/gpu_figures.py --minutes 5

lint: $(VENV)/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# the documentation as pages, in build/site; a warning is an error
docs: $(VENV)/.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# the small model of the package from nothing: hours on two cores; run again, it goes on
pretrain: $(VENV)/.stamp
	$(BIN)/python -m diffperc.pretrain out=runs/pretrain
	$(BIN)/python scripts/ship_tiny.py runs/pretrain

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
