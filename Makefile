# Every target makes its own .venv; PYTHON=python3.12 chooses another Python (3.11 or later).
PYTHON ?= python3
PIP := .venv/bin/pip --quiet --disable-pip-version-check
RUN := .venv/bin/

.PHONY: demo test check fix bench

# What a user installs: quick, and enough to chat.
.venv/.core: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or later is needed; found $$($(PYTHON) --version). Try: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "error: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@echo "installing wit-llm into .venv ..."
	@$(PIP) install -e .
	@touch $@

# What a developer needs on top: PyTorch, compilers for guests, linters.
.venv/.dev: .venv/.core
	@echo "installing what tests and linters need into .venv ..."
	@$(PIP) install -e '.[pytorch,convert,bench,dev]'
	@touch $@

demo: .venv/.core
	@sh examples/demo.sh

test: check
	$(RUN)pytest -m slow

check: .venv/.dev
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)mypy
	$(RUN)pytest tests/test_layers.py tests/test_architecture.py
	$(RUN)pytest -m "not slow"

fix: .venv/.dev
	$(RUN)ruff check --fix .
	$(RUN)ruff format .

bench: .venv/.dev
	@status=0; for script in $$(grep -l __main__ benchmarks/*.py); do \
		echo "== $$script"; $(RUN)python "$$script" || status=1; \
	done; exit $$status
