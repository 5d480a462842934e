# make demo   set up .venv, distil on the embedded example, print table and pictures
#             (make demo ARGS=--full for three students and six times the steps;
#             make demo ARGS=--quick to see that it runs;
#             make demo ARGS="--methods kd,ctkd,boxkd,ctkd+boxkd" for other methods)
# make test   set up .venv, run the test suite
# make docs   set up .venv, build the documentation: open build/docs/index.html
# make lint   check style
# make clean  remove what the others made, but not .venv nor your own data and runs
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
PARTS := runtime report deploy mminstall tests docs

.PHONY: demo test docs lint clean

demo: $(READY)
	$(VENV)/bin/python tools/demo.py $(ARGS)

test: $(READY)
	$(VENV)/bin/ruff check .
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs -q build --strict
	@echo 'Open build/docs/index.html; its search needs a server: $(PYTHON) -m http.server -d build/docs'

lint: $(READY)
	$(VENV)/bin/ruff check .

clean:
	rm -rf build *.egg-info work_dirs/demo work_dirs/tutorial data/shapes data/shapes_* .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -exec rm -rf {} +

# Complete only when the last line has run, so an interrupted set-up starts again.
$(READY): requirements/constraints.txt $(PARTS:%=requirements/%.txt) setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'Python 3.10 or newer is needed: make PYTHON=python3.12 ...'; exit 1; }
	@echo 'Setting up $(VENV): about 5 GB and some minutes, once.'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q -c requirements/constraints.txt $(PARTS:%=-r requirements/%.txt)
	$(VENV)/bin/python -m pip install -q --no-deps --no-build-isolation -e .
	touch $@
