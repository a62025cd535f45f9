# make search   installs into .venv, searches, trains, evaluates and restores on sample photographs
# make test     installs into .venv, checks and tests
# make check    style, types and layers alone

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/quick
STAMP := $(VENV)/.installed

.PHONY: search test check format clean

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed" if sys.version_info < (3, 10) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev,export]'
	touch $(STAMP)

search: $(STAMP)
	$(BIN)/nasrestore search recipes/rdmc-quick.yaml --out $(RUN) --overwrite
	$(BIN)/nasrestore derive $(RUN)
	$(BIN)/nasrestore train $(RUN)
	$(BIN)/nasrestore evaluate $(RUN)
	$(BIN)/nasrestore restore $(RUN)/pictures/test/*-rainy.png --run $(RUN) --out $(RUN)/restored
	@echo
	@echo "Look at $(RUN)/report.html, $(RUN)/pictures/test.png and $(RUN)/restored/"
	@$(BIN)/nasrestore report $(RUN)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell nasrestore spaces recipes benchmarks docs README.md CHANGELOG.md CONTRIBUTING.md
	$(BIN)/python -m pytest -q tests/test_layering.py

test: check
	$(BIN)/python -m pytest -q

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
