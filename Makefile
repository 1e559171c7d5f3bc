# `make help` lists the commands.

# Whose wheels, where ROS 2 is not sourced: jazzy or kilted.
ROS ?= jazzy
# What the environment is made with: Python 3.10 to 3.13.
PYTHON ?= python3
# 1: `make demo` serves the studio instead.
STUDIO ?=
export ROS

RUN := scripts/run.sh
.DEFAULT_GOAL := help
.PHONY: help workspace demo pictures test test-fast lint format parameters docs attacks gpu clean

help:
	@echo "make demo       build, run camera and node as two processes, write demo_out/"
	@echo "make demo STUDIO=1  camera, node and studio, a page in the browser, until ctrl-C"
	@echo "make test       build, check format, lint and types, run all tests"
	@echo "make test-fast  the same without the tests that start nodes or load models: about a minute"
	@echo "make attacks    attack the package's own processes with 1,000 hostile inputs, and count faults"
	@echo "make gpu        run the tests for GPUs and all measurements on one, and write gpu.md: under 20 minutes"
	@echo "make workspace  only make the environment and build the package"
	@echo "make lint       check format, lint and types"
	@echo "make format     format the code and put lint's own corrections in"
	@echo "make parameters  write docs/parameters.md and config/segmentation.yaml from the table of parameters"
	@echo "make docs       build the page of the Python interface in docs/api/_build"
	@echo "make pictures   take the images of docs/studio.md in Chromium"
	@echo "make clean      remove environments, builds and demo_out/"
	@echo
	@echo "ROS=kilted      use Kilted's wheels, not Jazzy's; a ROS 2 that is sourced goes first"
	@echo "PYTHON=python3.12  make the environment with this Python (3.10 to 3.13)"
	@echo "WORKERS=4       processes that run tests (2)"
	@echo "scripts/run.sh COMMAND  run anything in the environment with the built package"

workspace:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) was not found: install Python 3.10 to 3.13, or name it with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) scripts/prepare.py --ros "$(ROS)"

demo: workspace
	@$(RUN) python demo/run_demo.py --output demo_out $(if $(STUDIO),--studio)

pictures: workspace
	@$(RUN) python demo/studio_images.py

lint: workspace
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy

test: lint
	$(RUN) scripts/run_tests.sh

test-fast: lint
	$(RUN) scripts/run_tests.sh --fast

format: workspace
	$(RUN) ruff format
	$(RUN) ruff check --fix

parameters: workspace
	@$(RUN) python scripts/write_parameter_docs.py

docs: workspace
	@$(RUN) python -m sphinx -W --keep-going -q -b html docs/api docs/api/_build

attacks: workspace
	@$(RUN) python tests/attacks/run.py

gpu: workspace
	@$(RUN) python benchmarks/gpu.py --output gpu.md

clean:
	rm -rf .work demo_out docs/api/_build gpu.md
