# Everything a fresh machine needs: Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DIR ?= demo

.PHONY: demo test style quality clean

demo: $(VENV)/.installed  ## run the bot over a Hub on loopback, then serve the Space
	$(BIN)/hubbot demo --dir $(DIR) $(ARGS)

# Two at a time, a file each; torch's own threads would only stand in each other's way.
test: $(VENV)/.installed-dev  ## every test, with coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered $(ARGS)

style: $(VENV)/.installed-dev  ## repairs
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

quality: $(VENV)/.installed-dev  ## judges
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.installed: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) $(DIR) .pytest_cache .mypy_cache .ruff_cache .coverage
