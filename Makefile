# Each target starts from a bare checkout: it makes .venv, installs what it needs, and runs.
# `.venv/with-EXTRAS` appears once an install has succeeded, so a second run goes straight to work.

PYTHON ?= python3
BIN := .venv/bin
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))

.PHONY: help demo dashboard test check lab notebooks docs workshop-kit bench screenshots clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: .venv/with-models  ## the whole story, from a scene to scored outlines, into glacierlab-demo/
	$(BIN)/glacierlab demo

dashboard: .venv/with-models,viz  ## both apps in a browser, on twelve dates of a made world in glacierlab-demo-12/
	@test -f glacierlab-demo-12/report.html || $(BIN)/glacierlab demo --dates 12 -o glacierlab-demo-12
	$(BIN)/glacierlab dashboard glacierlab-demo-12 --inspect

test: .venv/with-all,test  ## every test, warnings as errors
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/with-test  ## format, lint and doctests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/python -m pytest --doctest-modules --doctest-ignore-import-errors glacierlab

lab: .venv/with-all  ## the lessons in JupyterLab
	$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/00_set_up.ipynb

notebooks: .venv/with-all,test  ## run every lesson headless, with its time and memory, into notebooks/executed/
	$(BIN)/python notebooks/run.py

docs: .venv/with-all,test,docs  ## the documentation, into docs/_build/html/ (lessons with results after `make notebooks`)
	$(BIN)/sphinx-build -W --keep-going -j auto docs docs/_build/html

workshop-kit: .venv/with-all,test,docs  ## all that a class needs without a network, as one zip in dist/
	$(BIN)/python notebooks/kit.py

bench: .venv/with-all,test,bench  ## every benchmark in turn
	@set -e; for script in benchmarks/*.py; do echo "$$script"; $(BIN)/python "$$script"; done

screenshots: .venv/with-all,test  ## pictures of the apps, into docs/images/ (needs Chromium)
	$(BIN)/python docs/images/apps.py

clean:  ## remove .venv and the caches; results stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis

# uv is a faster pip; where it cannot be had, pip installs the same packages.
.venv/ready:
	@for python in $(PYTHON) python3.13 python3.12 python3.11; do \
	  $$python -c '$(SUPPORTED)' 2>/dev/null && break; \
	done || { echo "glacierlab needs Python 3.11 to 3.13: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }; \
	echo "$$python -m venv .venv"; $$python -m venv .venv
	-$(BIN)/python -m pip install --quiet uv
	@touch $@

.venv/with-%: pyproject.toml .venv/ready
	$(BIN)/uv pip install --python $(BIN)/python -e '.[$*]' || $(BIN)/python -m pip install -e '.[$*]'
	@touch $@
