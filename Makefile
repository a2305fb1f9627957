# Everything from a bare clone: needs only Python 3.11 or newer, make and a C compiler.
#
#   make demo    set up, then train, distil, measure and use two small models on embedded Spanish data
#   make test    set up, then every test
#   make check   format, lint, types and the fast tests
#   make fix     format and repair what ruff can repair
#   make map     draw the pages of docs/reference from the code
#   make tables  draw README's table, docs/results.md and the picture from results/
#   make fuzz    feed every reader of strangers' files with damaged ones, a minute each
#   make bench   comparisons with other tools (minutes to hours; results are printed)
#   make clean   remove caches and the demo's runs; `rm -rf .venv` also undoes the set-up
#
# PYTHON=python3.12 chooses the interpreter; PIP_ARGS=... is handed to pip (an index of CPU-only wheels, say).

PYTHON ?= python3
PIP_ARGS ?=
FUZZ_SECONDS ?= 60
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt
PYTEST := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest
DEMOS := demo-intents demo-tags
STUDENT = runs/$(1)/students/student-distilled-s0/best

.PHONY: demo test gpu check fix map tables fuzz bench clean
.DEFAULT_GOAL := test

# --- set-up: one virtual environment, two stamps; a stamp is stale when a requirement or a version changes ---

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"destila needs Python 3.11 or newer, this is {v.major}.{v.minor}: make PYTHON=python3.12")'
	@echo "set-up: creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-demo: pyproject.toml constraints.txt destila-es/pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "set-up: installing destila[train,baseline] and destila-es, pinned by constraints.txt"
	@$(PIP) -e '.[train,baseline]' && $(PIP) --no-deps ./destila-es
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt destila-es/pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "set-up: installing destila[train,baseline,corpus,ray,pretrain,search,serve,excel,spacy,presidio,dev], pinned by constraints.txt"
	@$(PIP) -e '.[train,baseline,corpus,ray,pretrain,search,serve,excel,spacy,presidio,dev]' && $(PIP) --no-deps ./destila-es
	@touch $(VENV)/.installed-demo $@

# --- work ---

# The two studies side by side, one thread each: models this small are not faster on two.
demo: $(VENV)/.installed-demo
	@mkdir -p runs; export OMP_NUM_THREADS=1; \
	$(BIN)/destila run recipes/demo/demo-tags.toml >runs/demo-tags.log 2>&1 & tags=$$!; \
	$(BIN)/destila run recipes/demo/demo-intents.toml || { kill $$tags; exit 1; }; \
	wait $$tags || { cat runs/demo-tags.log; exit 1; }; \
	grep -v ' step ' runs/demo-tags.log
	@echo; echo "three predictions of the distilled students:"
	@$(BIN)/destila predict $(call STUDENT,demo-intents) \
		--text 'Quiero bloquear la tarjeta, me la han robado en Bilbao.' \
		--text 'Mi hermana pregunta: «¿Cuánto tengo en la cuenta?» Yo, en cambio: mándale 50 euros a Inés.'
	@$(BIN)/destila predict $(call STUDENT,demo-tags) \
		--text 'Begoña Núñez, de Zaragoza, trabaja en la Universidad de León desde 2019.'
	@echo; echo "predictions of es-ner and es-pos, which a real teacher taught (destila-es/README.md):"
	@$(BIN)/destila predict es-ner \
		--text 'La Comisión Europea multó ayer a Telefónica, según informó EFE desde Bruselas.' \
		--text 'Rafael Nadal entrenará en Mallorca antes de viajar a París.' \
		--text 'La Universidad de Sevilla y el Real Madrid firmaron un acuerdo, dijo Carmen Ruiz.'
	@$(BIN)/destila predict es-pos --text 'Ella no le dio la carta que había escrito.'

test: $(VENV)/.installed-dev
	@$(PYTEST) -n 2

# What needs a GPU, in under 8 minutes; without one the tests skip and say so. Any Python with torch
# and the [train] extra will do: GPU_PYTHON=python3 make gpu. DESTILA_GPU_TESTS=cpu is a dry run.
GPU_PYTHON ?= $(BIN)/python
gpu:
	@$(GPU_PYTHON) -m pytest tests/gpu -m gpu -rs -p no:cacheprovider
	@$(GPU_PYTHON) benchmarks/gpu.py --seconds 12

check: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(PYTEST) -n 2 -m 'not slow and not gpu'

fix: $(VENV)/.installed-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

map: $(VENV)/.installed-dev
	@$(BIN)/python docs/generate.py

tables: $(VENV)/.installed-dev
	@$(BIN)/python docs/tables.py

# Every reader of strangers' files, for a minute each; FUZZ_SECONDS=600 for ten.
fuzz: $(VENV)/.installed-dev
	@DESTILA_FUZZ_SECONDS=$(FUZZ_SECONDS) $(PYTEST) tests/reading/test_values_fuzz.py -s

bench: $(VENV)/.installed-dev
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis $(addprefix runs/,$(DEMOS)) runs/demo-tags.log
	find destila tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
