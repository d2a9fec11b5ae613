# Variables given on the command line or in the environment (ONCE=1, BROKER=embedded, CACHE_REPLICAS=2,
# SIGNALBOX_*) reach every recipe by themselves. Plain `make` lists the targets.

.DEFAULT_GOAL := help
.PHONY: help setup demo test up down status logs lint format docs lock bench chaos images k8s-check ci
MAKEFLAGS += --no-print-directory

# The Python client is a package of its own; the demo and the tests use it from its folder.
export PYTHONPATH := $(CURDIR)/clients/python

RUN := .venv/bin/python -m
SERVICES := ingest jobs cache loadgen

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv and install the locked packages (done by itself when needed)
	@deploy/setup.sh

demo: setup ## start everything, send traffic of every kind, print a summary; ONCE=1 stops again after it
	@$(RUN) deploy.demo

test: setup ## all tests; what they need is started for them and stopped again; ARGS='-k name' chooses
	@$(RUN) pytest $(ARGS)

up: setup ## start the stack and the services in the background; BROKER=apache|embedded forces a broker
	@$(RUN) deploy.local up

down: setup ## stop the stack and the services
	@$(RUN) deploy.local down

status: setup ## what runs: process, port, state, memory, log
	@$(RUN) deploy.local status

logs: setup ## the last lines of the logs; NAME=kafka one of them, FOLLOW=1 goes on until Ctrl-C
	@$(RUN) deploy.local logs $(NAME) $(if $(FOLLOW),--follow)

lint: setup ## ruff, mypy --strict, import rules
	@$(RUN) ruff check
	@$(RUN) ruff format --check --quiet
	@$(RUN) mypy
	@.venv/bin/lint-imports

format: setup ## lay the code out and repair what ruff can repair
	@$(RUN) ruff format --quiet
	@$(RUN) ruff check --fix

docs: setup ## write the generated reference: AsyncAPI, JSON Schema
	@$(RUN) docs.generate

# A lock names no registry, so that it is the same wherever it is made.
COMPILE := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --no-header $(if $(UPGRADE),--upgrade) pyproject.toml
lock: setup ## resolve requirements/*.txt anew after a change of pyproject.toml; UPGRADE=1 takes newer versions
	@$(RUN) $(COMPILE) --all-extras --group dev --output-file requirements/dev.txt
	@for service in $(SERVICES); do \
		$(RUN) $(COMPILE) --extra $$service --constraint requirements/dev.txt \
			--output-file requirements/$$service.txt || exit 1; \
	done

bench: setup ## benchmarks against peers; NAME=ingest|stream|jobs|cache|loadgen chooses one
	@$(RUN) bench $(NAME) $(ARGS)

chaos: setup ## kill, stop and starve each part under load, and count what was lost; PART=ingest, QUICK=1
	@$(RUN) tests.chaos $(PART) $(ARGS)

images: ## container images of the services, with docker, podman or buildah
	@engine=$$(deploy/container-engine.sh) && for service in $(SERVICES); do \
		echo "signalbox-$$service ($$engine)"; \
		$$engine --file deploy/Dockerfile --build-arg SERVICE=$$service --tag signalbox-$$service . || exit 1; \
	done

k8s-check: setup ## the Kubernetes manifests against their schemas and our rules
	@$(RUN) pytest -q tests/contract/test_k8s.py

ci: lint test ## what CI runs
