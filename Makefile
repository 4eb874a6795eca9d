# make help lists the targets. Tests need Go and git; check builds its own tools, pinned in tools/go.mod, once.

GO    ?= go
BIN   ?= bin
TOOLS ?= .cache/tools
# The race detector needs a C compiler; without one the same tests run without it.
RACE  ?= $(if $(shell command -v gcc || command -v clang),-race)
# Packages with tests behind the tag e2e.
E2E   := $(sort $(dir $(shell grep -rlE --include='*_test.go' '^//go:build .*\be2e\b' cmd pkg internal 2>/dev/null)))
FULL  := $(sort $(dir $(shell grep -rlE --include='*_test.go' '^//go:build .*\be2e_full\b' cmd pkg internal 2>/dev/null)))
# What the tag e2e_full adds: slow oracles.
ORACLES := $(shell grep -lE --include='*_test.go' -r '^//go:build .*\be2e_full\b' cmd pkg internal 2>/dev/null | xargs grep -hoE '^func Test[A-Za-z0-9_]+' 2>/dev/null | cut -d' ' -f2 | sort | paste -sd'|')
# A comma would end an argument of $(if).
FULLTAGS := e2e,e2e_full
# Tests behind the tag e2e find the programs of a control plane by this variable.
CONTROLPLANE = OTELSHIFT_CONTROLPLANE=$$(tools/controlplane/build .cache/controlplane) && export OTELSHIFT_CONTROLPLANE
# The slow oracles find Gitea by this one.
GITEA = OTELSHIFT_GITEA=$$(tools/gitea/build .cache/gitea) && export OTELSHIFT_GITEA
# GOTEST may be replaced to filter what go test prints; .ci/run does.
GOTEST ?= $(GO) test

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/otelshift
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/otelshift ./cmd/otelshift

.PHONY: demo
demo: build ## the whole journey on this machine, offline
	$(BIN)/otelshift demo

.PHONY: test
test: ## unit and script tests, with the race detector where a C compiler is there
	$(GOTEST) $(RACE) -shuffle=on -timeout 20m ./...

.PHONY: e2e
e2e: build ## journeys over real servers; builds a Kubernetes control plane once
	$(if $(E2E),$(CONTROLPLANE) && $(GOTEST) -tags e2e -count=1 -timeout 30m $(addprefix ./,$(E2E)),@echo "no tests behind the tag e2e")

.PHONY: e2e-full
e2e-full: build ## e2e with the slow oracles, Gitea among them (five minutes of building, once); screenshots are kept in _artifacts/ beside their test
	$(if $(E2E)$(FULL),$(CONTROLPLANE) && $(GITEA) && $(GOTEST) -tags $(FULLTAGS) -count=1 -timeout 90m -artifacts $(addprefix ./,$(sort $(E2E) $(FULL))),@echo "no tests behind the tag e2e_full")

.PHONY: oracles
oracles: build ## what e2e-full adds to e2e: Gitea (five minutes of building, once), a browser, the Collector
	$(GITEA) && $(GOTEST) -tags $(FULLTAGS) -count=1 -timeout 60m -run '^($(ORACLES))$$' $(addprefix ./,$(FULL))

.PHONY: bench
bench: $(TOOLS)/crane ## benchmarks, once each
	OTELSHIFT_CRANE=$(abspath $(TOOLS)/crane) $(GO) test -run '^$$' -bench . -benchtime 1x -benchmem ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 30s)
	@grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' cmd pkg internal | sort -u | cut -d' ' -f2 | while read -r target; do \
		for dir in $$(grep -rlE --include='*_test.go' "^func $$target\(" cmd pkg internal | xargs -n1 dirname | sort -u); do \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $${FUZZTIME:-30s} -fuzzminimizetime 100x ./$$dir || exit 1; \
		done; \
	done

.PHONY: generate
generate: ## rewrite the generated files of docs/
	$(GO) test ./pkg/config ./cmd/otelshift -run '^TestGenerated' -count=1 -update

.PHONY: check
check: fmt lint arrows tidy actions docs ## everything that needs no test run

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint $(TOOLS)/gofumpt ## formatting; "make fix" mends it
	@out=$$($(TOOLS)/gofumpt -l -extra=group_params,clothe_returns cmd pkg internal); if [ -n "$$out" ]; then echo "gofumpt: run make fix:"; echo "$$out"; exit 1; fi
	$(TOOLS)/golangci-lint fmt --diff

.PHONY: fix
fix: $(TOOLS)/golangci-lint ## mend formatting
	$(TOOLS)/golangci-lint fmt

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## go vet and golangci-lint
	$(GO) vet ./...
	$(GO) vet -tags e2e,e2e_full ./...
	$(TOOLS)/golangci-lint run --allow-parallel-runners ./...

.PHONY: arrows
arrows: $(TOOLS)/golangci-lint ## prove that the linter catches forbidden imports
	tools/arrows.sh $(TOOLS)/golangci-lint

.PHONY: tidy
tidy: ## go.mod and go.sum say what is used
	$(GO) mod tidy -diff
	cd tools && $(GO) mod tidy -diff
	cd tools/actionlint && $(GO) mod tidy -diff
	cd tools/controlplane && $(GO) mod tidy -diff
	cd tools/crane && $(GO) mod tidy -diff
	cd tools/collector && $(GO) mod tidy -diff

.PHONY: actions
actions: $(TOOLS)/actionlint ## lint the workflows, ours and the examples
	$(TOOLS)/actionlint .github/workflows/*.yml $(wildcard examples/github-actions/*.yml)

.PHONY: docs
docs: ## generated files of docs/ are up to date
	$(GO) test ./pkg/config ./cmd/otelshift -run '^TestGenerated' -count=1

.PHONY: vuln
vuln: $(TOOLS)/govulncheck ## known vulnerabilities; needs the vulnerability database
	$(TOOLS)/govulncheck ./...

.PHONY: clean
clean: ## remove what make built, tools included
	rm -rf $(BIN) .cache dist

$(TOOLS)/golangci-lint: tools/go.mod tools/go.sum
	cd tools && CGO_ENABLED=0 $(GO) build -trimpath -o $(abspath $@) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

$(TOOLS)/gofumpt: tools/go.mod tools/go.sum
	cd tools && CGO_ENABLED=0 $(GO) build -trimpath -o $(abspath $@) mvdan.cc/gofumpt
	@touch $@

$(TOOLS)/govulncheck: tools/go.mod tools/go.sum
	cd tools && CGO_ENABLED=0 $(GO) build -trimpath -o $(abspath $@) golang.org/x/vuln/cmd/govulncheck
	@touch $@

$(TOOLS)/actionlint: tools/actionlint/go.mod tools/actionlint/go.sum
	cd tools/actionlint && CGO_ENABLED=0 $(GO) build -trimpath -o $(abspath $@) github.com/rhysd/actionlint/cmd/actionlint
	@touch $@

$(TOOLS)/crane: tools/crane/go.mod tools/crane/go.sum
	cd tools/crane && CGO_ENABLED=0 $(GO) build -trimpath -o $(abspath $@) github.com/google/go-containerregistry/cmd/crane
	@touch $@

$(TOOLS)/gotest: internal/gotest/main.go
	CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./internal/gotest
