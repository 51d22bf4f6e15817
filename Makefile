# Python 3.11 or later and make are all that is needed; `make` alone lists the targets.
# ARGS is passed on: make serve ARGS="--port 9000", make test ARGS="tests/canon -x".

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --no-input
PIP_TOOLS = pip-tools==7.6.2
# A hung test is a failure with a traceback, not a hung run. By hand, under a debugger, there is no limit.
PYTEST = .venv/bin/python -m pytest --timeout 120
ARGS ?=

JUDGES = tests/conformance/judges
NODE_MODULES = tests/node/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help install sdk clients litellm node go java judges serve test conformance torture bench check format lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

install: .venv/.project ## Make .venv with everything the gateway and its tests need, by the hashes in requirements/.

serve: .venv/.project ## Start the gateway on http://127.0.0.1:8080; needs no key and, once installed, no network.
	@exec .venv/bin/thalweg serve $(ARGS)

test: .venv/.project ## Run all tests, with a sample of the long ones; what is not installed here is skipped.
	@$(MAKE) --silent sdk || echo "The Python SDKs could not be installed: tests that call with them are skipped."
	@$(MAKE) --silent clients || echo "The Python clients could not be installed: tests that call with them are skipped."
	@$(MAKE) --silent litellm || echo "LiteLLM could not be installed: tests that call with it are skipped."
	@$(MAKE) --silent node || echo "The Node SDK could not be installed: tests that call with it are skipped."
	@$(MAKE) --silent go || echo "The Go examples could not be built: tests that run them are skipped."
	@$(MAKE) --silent java || echo "The Java examples could not be built: tests that run them are skipped."
	@$(PYTEST) --numprocesses auto --dist worksteal $(ARGS)

conformance: .venv/.project ## Let real SDKs judge every pair of dialects, and write docs/conformance.md.
	@$(MAKE) --silent --keep-going judges || echo "Not every judge could be installed: the page says which did not judge."
	@.venv/bin/python -m tests.conformance $(ARGS)

torture: .venv/.project ## Run the long tests with full counts.
	@.venv/bin/python -m pytest --timeout 3600 -m torture $(ARGS)

bench: .venv/.project ## Measure the gateway against nginx on this machine (docs/performance.md).
	@.venv/bin/python -m bench $(ARGS)

check: .venv/.project ## Check format, lint and types.
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy --strict

format: .venv/.project ## Format the code and mend what can be mended by rule.
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

sdk: .venv-sdk/.requirements ## Make .venv-sdk with the official Python SDKs that the tests call the gateway with.

clients: .venv-clients/.requirements ## Make .venv-clients with frameworks and tools that people point at the gateway.

litellm: .venv-litellm/.requirements ## Make .venv-litellm with LiteLLM, which needs an older SDK of OpenAI's.

judges: sdk clients litellm node go java ## Install everything that `make conformance` calls the gateway with.

node: $(NODE_MODULES) ## Install the official Node SDK that the tests call the gateway with.

go: examples/go/bin/.built $(JUDGES)/go/bin/.built ## Build the examples and the judge in Go, with Ark's SDK.

java: examples/java/target/.built examples/java/ark/target/.built $(JUDGES)/java/target/.built $(JUDGES)/java/ark/target/.built ## Build the examples and the judges in Java, with OpenAI's SDK and Ark's.

lock: .venv/.project ## Write requirements/*.txt anew from *.in; ARGS=--upgrade takes newer indirect versions.
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv "$$tools" && \
	"$$tools/bin/python" $(PIP_INSTALL) $(PIP_TOOLS) && cd requirements && \
	for name in runtime dev sdk clients litellm; do \
		echo "requirements/$$name.txt" && \
		"$$tools/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras --annotation-style line \
			--no-emit-index-url --no-emit-trusted-host --no-emit-options --no-header $(ARGS) \
			--output-file $$name.txt $$name.in || exit 1; \
	done

clean: ## Remove what the targets above have made.
	rm -rf .venv .venv-sdk .venv-clients .venv-litellm tests/node/node_modules build dist src/thalweg.egg-info
	rm -rf examples/go/bin examples/java/target examples/java/ark/target $(JUDGES)/go/bin
	rm -rf $(JUDGES)/java/target $(JUDGES)/java/ark/target
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps: a new lock reinstalls the packages, a changed pyproject.toml only the gateway itself. Every package has
# its hash; the editable install builds with the setuptools of the lock, so it fetches nothing.
.venv/.requirements: requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; name one with PYTHON=..." >&2; exit 1; }
	@echo "Installing into .venv (once) ..."
	@$(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

.venv/.project: .venv/.requirements pyproject.toml
	@.venv/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv-sdk/.requirements .venv-clients/.requirements .venv-litellm/.requirements: .venv-%/.requirements: requirements/%.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; name one with PYTHON=..." >&2; exit 1; }
	@echo "Installing into .venv-$* (once) ..."
	@$(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python $(PIP_INSTALL) --retries 2 --require-hashes -r requirements/$*.txt
	@touch $@

$(NODE_MODULES): tests/node/package-lock.json tests/node/package.json
	@echo "Installing the SDK into tests/node (once) ..."
	@cd tests/node && npm ci --silent
	@touch $@

examples/go/bin/.built: examples/go/go.sum $(wildcard examples/go/*/*.go)
$(JUDGES)/go/bin/.built: $(JUDGES)/go/go.sum $(wildcard $(JUDGES)/go/*/*.go)
%/go/bin/.built:
	@command -v go >/dev/null
	@echo "Building $*/go (once) ..."
	@cd $*/go && go build -o bin/ ./...
	@touch $@

examples/java/target/.built: examples/java/pom.xml $(wildcard examples/java/src/main/java/example/*.java)
examples/java/ark/target/.built: examples/java/ark/pom.xml $(wildcard examples/java/ark/src/main/java/example/*.java)
$(JUDGES)/java/target/.built: $(JUDGES)/java/pom.xml $(wildcard $(JUDGES)/java/src/main/java/judge/*.java)
$(JUDGES)/java/ark/target/.built: $(JUDGES)/java/ark/pom.xml $(wildcard $(JUDGES)/java/src/main/java/judge/*.java)
examples/java/target/.built examples/java/ark/target/.built $(JUDGES)/java/target/.built $(JUDGES)/java/ark/target/.built: %/target/.built:
	@command -v mvn >/dev/null
	@echo "Building $* (once) ..."
	@cd $* && mvn --quiet --batch-mode compile
	@touch $@
