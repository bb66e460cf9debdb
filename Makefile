# Everything a fresh machine needs: Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DIR ?= demo

.PHONY: demo test coverage style quality audit clean

demo: $(VENV)/.installed  ## run the bot over a Hub on loopback, then serve the Space
	$(BIN)/hubbot demo --dir $(DIR) $(ARGS)

# Two at a time, a file each, in the order of tests/conftest.py; torch's own threads would only stand in each other's way.
test: $(VENV)/.installed-dev  ## every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# By itself, since counting branches makes plain Python run half as long again.
coverage: override ARGS += --cov --cov-report=term:skip-covered
coverage: test  ## every test, and which lines and branches they reach

style: $(VENV)/.installed-dev  ## repairs
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

quality: $(VENV)/.installed-dev  ## judges
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# bandit: its low findings are ruff's S rules, judged in `quality` with a reason at each exception.
# detect-secrets: content ids and commits are hex, so hex tells nothing here; words such as `token=` are settings.
# What a token of the Hub looks like, it does not know. pip-audit asks the network for advisories; --strict, since
# otherwise it calls clean what it could not ask about.
audit: $(VENV)/.installed-audit  ## risky code, secrets, and known faults of what we depend on
	$(BIN)/bandit -q -ll -r hubbot space benchmarks
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook \
	  --disable-plugin HexHighEntropyString --disable-plugin KeywordDetector
	! git grep -nE 'hf_[A-Za-z0-9]{30,}'
	@$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt || { \
	  echo "audit: dependencies are NOT known to be clean. 'could not be audited' means that the advisories"; \
	  echo "could not be asked for: run this where the network can be reached."; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-audit: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[audit]'
	touch $@

clean:
	rm -rf $(VENV) $(DIR) .pytest_cache .mypy_cache .ruff_cache .coverage
