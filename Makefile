# One place for what one does with this checkout. Everything runs from .venv, made on first use.

PYTHON ?= python3
# `make windows` takes a zip by that name.
INTERPRETER := $(if $(filter %.zip,$(PYTHON)),python3,$(PYTHON))
VENV   := .venv
BIN    := $(VENV)/bin
# What runs the program; and that with the tools of development, forty times as large.
PROGRAM := $(VENV)/.program
READY   := $(VENV)/.ready
# Arguments for `make run`, `make simulate` and `make test`: make run ARGS=--simulated.scenario=ballooning
ARGS   ?=
SOCKET ?= /tmp/vmguest-host

.PHONY: help run test test-all lint typecheck check benchmark simulate man completions packages collector receivers toolkit helm clean pictures dashboards chart rules

help:
	@echo "make run         the exporter on a simulated host: http://localhost:10052/metrics"
	@echo "make test        the tests that need nothing but Python"
	@echo "make test-all    all tests, as CI runs them    make check      lint, typecheck and tests"
	@echo "make lint        ruff                          make typecheck  mypy, as on Linux and on Windows"
	@echo "make simulate    a simulated host on $(SOCKET)"
	@echo "make benchmark   what a poll, a scrape and an export cost, beside their peers"
	@echo "make man         the manual page and the shells' completions, below build/"
	@echo "make packages    wheel, sdist, one-file program, .deb and .rpm, below dist/"
	@echo "make pictures    the pictures of top and of the page (needs chromium)"
	@echo "make dashboards  compile dashboards and the runbook's queries"
	@echo "make chart       what follows from the Helm chart's values.yaml"
	@echo "make rules RUNBOOK_URL=https://...  the alert rules with links to your copy of the runbook"
	@echo "make collector   build the OpenTelemetry Collector that tests run against"
	@echo "make toolkit     build a small exporter around exporter-toolkit, which the web server is compared with"
	@echo "make receivers   build Prometheus 3 and VictoriaMetrics with vmagent, vmalert and vmauth, for tests and benchmarks"
	@echo "make helm        build helm, which tests render the chart with"
	@echo "make windows     a folder for Windows, zipped below dist/: PYTHON=python-3.X.Y-embed-amd64.zip"
	@echo "make wine        make a Windows of Wine and a CPython, which tests/windows/ run on"
	@echo "make clean       remove what the above made"

$(PROGRAM): pyproject.toml .ci/environment.sh
	@PYTHON="$(INTERPRETER)" sh .ci/environment.sh $(VENV)
	@touch $@

$(READY): pyproject.toml .ci/environment.sh
	@PYTHON="$(INTERPRETER)" sh .ci/environment.sh $(VENV) tools
	@touch $(PROGRAM) $@

run: $(PROGRAM)
	@$(BIN)/vmguest-exporter --source=simulated $(ARGS)

# In parallel; the order is another each time, and its seed is printed.
test: $(READY)
	@$(BIN)/pytest --numprocesses=auto -m "not real and not complete and not windows" $(ARGS)

# As CI runs it: long models in full, packages, everything that needs an outside component. Windows is a step apart.
test-all: $(READY)
	@COMPLETE=1 $(BIN)/pytest --numprocesses=auto --dist=loadfile -m "not windows" $(ARGS)

lint: $(READY)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

typecheck: $(READY)
	@$(BIN)/mypy
	@$(BIN)/mypy --config-file .ci/mypy-windows.ini

check: lint typecheck test

benchmark: $(READY)
	@for file in benchmarks/[a-z]*.py; do \
	  name=$$(basename $$file .py); \
	  grep -q __main__ $$file || continue; \
	  echo "== benchmarks/$$name.py"; $(BIN)/python -m benchmarks.$$name || exit 1; \
	done

simulate: $(PROGRAM)
	@$(BIN)/vmguest-exporter simulate --socket $(SOCKET) $(ARGS)

man completions: $(READY)
	@$(BIN)/python -m deploy.packages.command_line build

packages: $(READY)
	@$(BIN)/python -m deploy.packages $(ARGS)

# docs/top.svg and docs/page.png, as they look now.
pictures: $(READY)
	@$(BIN)/python -m tests.top.picture
	@$(BIN)/python -m tests.outputs.page.picture

# Everything that is made of the dashboards' and rules' sources and committed.
dashboards: $(READY)
	@$(BIN)/python -m dashboards
	@$(BIN)/python -m dashboards.runbook

# What follows from the chart's values, and what helm makes of it for the tests.
chart: $(READY) helm
	@$(BIN)/python deploy/helm/generate.py
	@PYTHONPATH=. $(BIN)/python tests/deploy/render_chart.py

rules: $(READY)
	@[ -n "$(RUNBOOK_URL)" ] || { echo "make rules RUNBOOK_URL=https://... : where RUNBOOK.md can be read"; exit 2; }
	@$(BIN)/python -m dashboards.runbook --url "$(RUNBOOK_URL)" --output build/rules
	@echo "build/rules: load these in place of deploy/prometheus/rules"

collector:
	@sh .ci/collector.sh

toolkit:
	@sh .ci/toolkit.sh

receivers:
	@sh .ci/receivers.sh

helm:
	@sh .ci/helm.sh

# A folder for Windows that needs no Python there, of python.org's embeddable package: make windows PYTHON=python-...zip
.PHONY: wine windows
windows: $(READY)
	@$(BIN)/python -m deploy.windows $(filter-out python3,$(PYTHON))

wine: $(READY)
	@sh .ci/windows.sh

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist mutants .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
