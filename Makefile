# SPDX-License-Identifier: MIT
# What one does daily, by name; all work is done by ./r4l and the tools in its environment (CONTRIBUTING.md).
PYTHON = "$$(./r4l selftest --python)"

.PHONY: help demo test quick lint types unit fix api bench constraints dist

help: ## these lines
	@sed -n 's/^\([a-z ]*\):.*## /\1\t/p' Makefile

demo: ## from nothing to a driver that pings
	./r4l demo

test: ## the default selection of all tests
	./r4l selftest

quick: lint types unit ## what takes minutes and no VM

lint types unit: ## one part of the tests, as `./r4l selftest --only` has more
	./r4l selftest --only $@

fix: ## let ruff mend style and format
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

api: ## the API reference, as pages in build/api
	$(PYTHON) docs/api.py build/api

bench: ## the figures of docs/figures.md
	$(PYTHON) bench/run.py

constraints: ## the newest versions of what r4l stands on, into constraints.txt
	.ci/constraints

dist: ## the wheel and the source package, in dist/
	$(PYTHON) -m build
