# make run and make test are all that a newcomer needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# T is how long each fuzz target runs in "make fuzz".
T ?= 30s
# N is how many operations "make model" compares, FOR how long "make faults" and "make
# chaos" run, SEED which choices they repeat; 0 makes new ones. CHAOS is further flags,
# such as -chaos.only=N02,N06 and -chaos.keep=/tmp/run.
N ?= 100000
FOR ?= 10m
SEED ?= 0
# P is how many test packages run at once; each may hold a cluster of three members.
P ?= 2

LDFLAGS := -s -w
# The end-to-end tests are a module of their own, in a folder that may be absent.
SOURCES := cmd deploy facade mapping monitor tenancy $(wildcard e2e)
MODULES := . $(patsubst %/go.mod,%,$(wildcard e2e/go.mod))

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: tools
tools:
	@command -v go >/dev/null || { echo "Go is missing: install Go $$(awk '$$1 == "go" {print $$2}' go.mod) or newer from https://go.dev/dl"; exit 1; }

.PHONY: packages
packages:
	@.ci/packages

.PHONY: build
build: tools $(if $(shell command -v npm),console) ## Build bin/dms, with the console where Node is
	CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags '$(LDFLAGS)' -o bin/dms ./cmd/dms

.PHONY: run
run: build ## Run the whole service on this machine, with its data in ./.dms
	@exec bin/dms dev

.PHONY: test
test: packages check console-test ## Check and test everything, with the race detector
	@for m in $(MODULES); do \
		(cd $$m && echo "go test -race in $$m" && go test -race -shuffle=on -p $(P) -timeout 15m ./...); \
	done

.PHONY: check
check: tools ## Format, vet, staticcheck, and the rules of the house
	@out=$$(gofmt -l $(SOURCES)); [ -z "$$out" ] || { echo "not formatted:"; echo "$$out"; exit 1; }
	@for m in $(MODULES); do (cd $$m && go vet ./...); done
	@go vet -tags planted ./mapping
	@go build -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	@for m in $(MODULES); do (cd $$m && $(CURDIR)/bin/staticcheck ./...); done
	go test -count=1 -run 'Imports?|Layers|Doc' ./deploy

.PHONY: e2e
e2e: tools ## Test as a customer does: three nodes, HTTP only, faults included
	@[ -f e2e/go.mod ] || { echo "there is no e2e module"; exit 1; }
	cd e2e && go test -race -shuffle=on -count=1 -timeout 30m ./...

.PHONY: fuzz
fuzz: tools ## Run every fuzz target for T each (make fuzz T=30s)
	@for m in $(MODULES); do (cd $$m; \
		go list -f '{{.Dir}}' ./... | while read -r dir; do \
			{ grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$dir"/*_test.go 2>/dev/null || true; } | sed 's/^func //' | while read -r target; do \
				echo "$$target in $${dir#$(CURDIR)/}"; \
				(cd "$$dir" && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(T) -fuzzminimizetime 100x . </dev/null); \
			done; \
		done); \
	done

.PHONY: model
model: tools ## Compare the service with its reference (make model N=100000)
	go test -race -count=1 -timeout 24h -v -run 'FollowsTheReference$$' ./mapping/modeltest -model.n $(N)

FAULTS = go test -count=1 -v -timeout 24h -run HistoryUnderFaults ./faults -faults.for=$(FOR) -faults.seed=$(SEED)

.PHONY: faults
faults: tools ## Record and judge histories under faults (make faults FOR=10m SEED=7)
	cd e2e && $(FAULTS)

.PHONY: chaos
chaos: packages tools ## The same and real nodes, disks and networks, as root; fills e2e/LEDGER.md
	cd e2e; failed=0; $(FAULTS) || failed=1; \
	go test -count=1 -v -timeout 24h ./chaos -chaos.for=$(FOR) -chaos.seed=$(SEED) -chaos.book $(CHAOS) || failed=1; \
	exit $$failed

.PHONY: bench
bench: tools ## Compare REST with the bare log in one run (make bench ONLY="send 10")
	go run ./deploy/bench $(if $(ONLY),-only "$(ONLY)")

.PHONY: microbench
microbench: tools ## Run the benchmarks of single functions, ten times each, for benchstat
	go test -run '^$$' -bench . -benchmem -count 10 ./...

.PHONY: golden
golden: tools ## Write the golden files anew; look at the difference before you commit it
	@go list -f '{{.Dir}}' ./... | while read -r dir; do \
		if grep -qs 'flag.Bool("update"' "$$dir"/*_test.go; then (cd "$$dir" && go test -count=1 . -update </dev/null); fi; \
	done
	git status --short -- '*.golden'

.PHONY: vuln
vuln: tools ## Look for known vulnerabilities in what is linked (needs the network)
	go tool govulncheck ./...

# The web console is built by npm. Without Node the service is built without it and says so.
CONSOLE := facade/console/ui
CONSOLE_SOURCES := $(shell find $(CONSOLE) \( -name node_modules -o -name e2e -o -name screenshots -o -name schema.d.ts \) -prune -o -type f -print) facade/openapi.yaml

.PHONY: console
console: facade/console/dist/index.html ## Build the web console, which the next "make build" embeds

facade/console/dist/index.html: $(CONSOLE_SOURCES)
	@command -v npm >/dev/null || { echo "Node is missing: install Node 20.19 or newer from https://nodejs.org to build the console"; exit 1; }
	@cd $(CONSOLE) && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund --loglevel=error; }
	cd $(CONSOLE) && npm run --silent build

.PHONY: console-test
console-test: packages console ## Test the console: what it has to do, with Chromium, and that two builds are the same to the bit
	cd $(CONSOLE) && npm run --silent test && node e2e/reproducible.mjs
	$(MAKE) --no-print-directory build
	cd $(CONSOLE) && node e2e/run.mjs acceptance.test

.PHONY: e2e-console
e2e-console: packages console ## Drive the console with Chromium against the real binary, all of it
	$(MAKE) --no-print-directory build
	cd $(CONSOLE) && node e2e/run.mjs

.PHONY: screenshots
screenshots: packages console ## Take the pictures of the console that the README shows anew
	$(MAKE) --no-print-directory build
	cd $(CONSOLE) && node e2e/shots.mjs screenshots
