# The commands of a developer and of CI. `make run` and `make test` need make, Python 3.11 and, for what is
# not there yet, the package registries. PY=… names another interpreter, VENV=… another folder.
PY ?= $(shell sh .ci/python)
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=
FUZZ_SECONDS ?= 600
# A server starts nine processes, and those of other users can't write what Python compiles: it is kept, also where
# the environment says otherwise, and is there before they start.
export PYTHONDONTWRITEBYTECODE =

.PHONY: run test check lint bench soak fuzz model docs packages compiled ready clean

$(VENV)/pyvenv.cfg: pyproject.toml constraints.txt .ci/venv
	sh .ci/venv "$(PY)" $(VENV)

$(VENV)/ok: $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev --constraint constraints.txt
	touch $@

compiled: $(VENV)/ok
	@$(BIN)/python -m compileall -q columba common delivery master queue sieve smtpd

run: compiled
	@$(BIN)/python -m columba.master.dev $(ARGS)

# After .ci/venv, which may need apt as well.
packages: $(VENV)/pyvenv.cfg
	@sh .ci/debian
	@sh .ci/users

ready: packages compiled

# Debian's packages and Python's come at the same time.
test:
	@$(MAKE) --no-print-directory -j 2 ready
	@sh .ci/test $(BIN)/python $(ARGS)

lint: $(VENV)/ok
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests bench

check: lint compiled
	$(BIN)/python -m pytest -m "not slow and not peer" $(ARGS)

bench: packages compiled
	$(BIN)/python -m bench $(ARGS)

soak: packages compiled
	$(BIN)/python -m bench soak $(ARGS)

fuzz: $(VENV)/ok
	$(BIN)/python -m pytest tests -m "not slow and not peer" -k "property or fuzz" --hypothesis-profile=fuzz $(ARGS)
	$(BIN)/python -m pip install --quiet --group fuzz --constraint constraints.txt
	$(BIN)/python -m tests.fuzz.sieve_target script -max_total_time=$(FUZZ_SECONDS)
	$(BIN)/python -m tests.fuzz.sieve_target message -max_total_time=$(FUZZ_SECONDS)
	$(BIN)/python -m tests.fuzz.smtp_target server -max_total_time=$(FUZZ_SECONDS)
	$(BIN)/python -m tests.fuzz.smtp_target client -max_total_time=$(FUZZ_SECONDS)

model: $(VENV)/ok
	MODEL_COUNT=$(or $(COUNT),3000) $(BIN)/python -m pytest -s tests/model $(ARGS)

docs: $(VENV)/ok
	@mkdir -p var
	$(BIN)/python -m columba.master.cli config --docs > var/settings.md
	mv var/settings.md docs/settings.md

clean:
	rm -rf $(VENV) build *.egg-info var
