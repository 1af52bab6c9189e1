# Every target makes its own .venv; PYTHON=python3.12 chooses another Python (3.11 or later).
PYTHON ?= python3
PIP := .venv/bin/pip --quiet --disable-pip-version-check
RUN := .venv/bin/
# As many processes as there are cores, up to four: each loads its own graphs, and takes a gigabyte or two.
# Files in their order, because the longest are not those with the most tests.
TEST := $(RUN)pytest -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

.PHONY: demo test check lint fix bench bench-quick

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

# The whole suite; `check` leaves out what takes seconds.
test: lint
	$(TEST)

check: lint
	$(TEST) -m "not slow"

lint: .venv/.dev
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)mypy
	$(RUN)pytest -q tests/test_layers.py tests/test_architecture.py

fix: .venv/.dev
	$(RUN)ruff check --fix .
	$(RUN)ruff format .

bench: .venv/.dev
	@status=0; for script in $$(grep -l __main__ benchmarks/*.py | grep -v regression.py); do \
		echo "== $$script"; $(RUN)python "$$script" || status=1; \
	done; exit $$status

# Whether a ratio has fallen since benchmarks/baseline.json was taken.
bench-quick: .venv/.dev
	$(RUN)python benchmarks/regression.py
