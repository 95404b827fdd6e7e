# Every target sets up what it needs. `make experiment` is the place to start.
PYTHON ?= python3
CONFIG ?= experiments/pocket.yaml
RESULTS ?= results/pocket
BIN := .venv/bin
VLLM := build/vllm
# pip would compile one file after another; compileall takes all cores. It fails, harmlessly, on
# files that some packages carry and that are no Python of this version.
INSTALL := install --quiet --disable-pip-version-check --no-compile
COMPILE := -m compileall -qq -j 0
SITE := 'import sysconfig; print(sysconfig.get_path("purelib"))'

.PHONY: setup experiment test test-thorough test-vllm test-vllm-thorough figures bench pocket-models clean

setup: .venv/installed  ## Make .venv with everything pinned by constraints.txt

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || \
	  { echo "BonBench needs Python 3.11 or 3.12: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip $(INSTALL) --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python $(COMPILE) .venv || true
	touch $@

experiment: setup  ## Run an experiment: make experiment CONFIG=experiments/pocket.yaml
	$(BIN)/bonbench run $(CONFIG)

# loadgroup hands out one test at a time, in order: those through Ray, which take longest, come first.
test: setup  ## Lint, types and the whole test suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder

test-thorough: setup  ## What `make test` leaves out: runs killed at random moments, and the like
	OMP_NUM_THREADS=1 $(BIN)/pytest -m thorough

test-vllm-thorough: $(VLLM)/installed  ## What `make test-vllm` leaves out: reward models behind vLLM's own server
	$(VLLM)/bin/python -m pytest tests_vllm -m thorough

test-vllm: $(VLLM)/installed  ## Sampling and scoring with a real vLLM engine, and its server, on CPU
	$(VLLM)/bin/python -m pytest tests_vllm

# A layer over .venv: what vLLM needs beyond it, and the one package (numpy) that it needs in another version.
$(VLLM)/installed: .venv/installed constraints-vllm.txt
	$(PYTHON) -m venv --clear $(VLLM)
	$(VLLM)/bin/pip $(INSTALL) --no-deps --requirement constraints-vllm.txt
	$(VLLM)/bin/pip $(INSTALL) --no-deps --editable .
	$(BIN)/python -c $(SITE) > "$$($(VLLM)/bin/python -c $(SITE))/below.pth"
	$(VLLM)/bin/python $(COMPILE) $(VLLM) || true
	touch $@

figures: setup  ## Redraw tables, figures and report.html from stored results: make figures RESULTS=results/pocket
	$(BIN)/bonbench report $(RESULTS)

bench: setup  ## Benchmarks, each against a plain alternative in the same run
	for file in benchmarks/[a-z]*.py; do $(BIN)/python $$file || exit 1; done

pocket-models: setup  ## Rebuild the three pocket language models from nothing
	$(BIN)/python -m bonbench.experiments.pocket.build_models

clean:  ## Remove the environment and caches; results stay
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
