# The targets that a developer and .ci/run use. "make" alone lists them.
# Everything needed beyond Go and make is installed below .tools/, pinned here.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDARY:

# A release is a tag; between releases it is the file VERSION and the commit, without git the file alone.
VERSION := $(shell git describe --tags --abbrev=12 --match 'v[0-9]*' --dirty 2>/dev/null || \
	echo "$$(cat VERSION)$$(git describe --always --abbrev=12 --exclude '*' --dirty 2>/dev/null | sed 's/^/+/')")
ARCHES := amd64 arm64
CHARMS := signet signet-node

# These keep the machine and the checkout's state out of the binary: same sources, same bytes. They hold for tests and
# the linter as well, so that each package of Juju's is compiled once for all of them.
export CGO_ENABLED := 0
export GOFLAGS := $(GOFLAGS) -trimpath -buildvcs=false
LDFLAGS := -s -w -X github.com/signet-charm/signet/internal/cli.version=$(VERSION)

PACKAGES ?= ./...
FUZZTIME ?= 30s
BENCHTIME ?= 1s

GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := $(CURDIR)/.tools/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint
GOVULNCHECK_VERSION := v1.9.0
CYCLONEDX_VERSION := v1.10.0
CYCLONEDX := $(CURDIR)/.tools/cyclonedx-gomod-$(CYCLONEDX_VERSION)/cyclonedx-gomod
KUBERNETES_VERSION := v1.37.2
KUBE_APISERVER := $(CURDIR)/.tools/kubernetes-$(KUBERNETES_VERSION)/kube-apiserver
VAULT_VERSION := v1.1.2
VAULT := $(CURDIR)/.tools/vault-$(VAULT_VERSION)/vaultd
GOVULNCHECK := $(CURDIR)/.tools/govulncheck-$(GOVULNCHECK_VERSION)/govulncheck

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## Build the static program for this machine: dist/signet
	go build -ldflags "$(LDFLAGS)" -o dist/signet ./cmd/signet

.PHONY: demo
demo: build ## Tell the whole story on an embedded Juju; succeeds only if every certificate verifies
	dist/signet sandbox demo

# What tests have tried, for "go test" shows nothing of those that pass. It lies beside go's cache of their results: both are
# of the same run.
FIGURES = $(shell go env GOCACHE)/signet-figures$(subst /,-,$(CURDIR))

.PHONY: test
test: ## Run all tests (PACKAGES), have Kubernetes' own client judge what is written for it, and say what was tried
	SIGNET_CRASH_EVERY=3 SIGNET_FIGURES=$(FIGURES) go test -parallel 4 $(PACKAGES)
	cd e2e/clientgo && go test ./...
	cd e2e/terraform && go test ./...
	@cat $(FIGURES)/* 2>/dev/null || true

.PHONY: race
race: ## Run all tests with the race detector, which needs a C compiler (PACKAGES)
	CGO_ENABLED=1 SIGNET_KILLS=8 SIGNET_REQUESTS=500 go test -race -timeout 30m $(PACKAGES)

.PHONY: e2e-kubernetes
e2e-kubernetes: $(KUBE_APISERVER) ## Have a real kube-apiserver, etcd and kubectl use what is laid on disk; builds the first once, for 12 minutes
	.ci/want etcd etcd-server
	.ci/want kubectl kubernetes-client
	SIGNET_KUBE_APISERVER=$(KUBE_APISERVER) go test -tags e2e -count=1 -timeout 15m -v -run '^TestKubernetes$$' ./internal/cli

.PHONY: e2e-vault
e2e-vault: $(VAULT) ## Have a real Vault server sign, seal, die and come back; builds it once, for two minutes
	SIGNET_VAULT=$(VAULT) go test -count=1 -timeout 15m -v ./internal/ca/vault/...
	SIGNET_VAULT=$(VAULT) go test -count=1 -timeout 15m -run '^TestScripts$$/^vault' ./internal/cli

.PHONY: e2e-page
e2e-page: ## Have Chromium judge the page in both themes, on a desk and on a phone; pictures go to SIGNET_SHOTS
	.ci/want chromium chromium
	cd e2e/page && go test -count=1 -timeout 15m ./...

.PHONY: e2e-alerts
e2e-alerts: ## Have Prometheus evaluate each alerting rule over the series of alerts/signet_test.yaml; compiles it once, for minutes
	cd e2e/alerts && go test -count=1 -timeout 15m ./...

.PHONY: e2e-fleet
e2e-fleet: ## Roll the CA of sixty units over, and kill agents and hooks a hundred times
	SIGNET_FLEET=30 go test -count=1 -timeout 15m -v -run '^TestScripts$$/^rollover-fleet$$' ./internal/cli
	SIGNET_KILLS=100 go test -count=1 -timeout 15m -v -run '^TestWhoeverIsKilledNothingIsLost$$' ./internal/cli

.PHONY: soak
soak: soak-crash soak-kills soak-storm soak-million soak-fuzz ## All that runs long and stops by itself: crashes, kills, storms, a million requests, fuzzing

.PHONY: soak-crash
soak-crash: ## Have each outside call of each flow go wrong, and power be lost before each
	SIGNET_CRASH_EVERY=1 SIGNET_POWER_EVERY=1 SIGNET_FIGURES=$(FIGURES) go test -count=1 -timeout 20m -run '^TestEveryOutsideCall' ./internal/cli
	@cat $(FIGURES)/*

.PHONY: soak-storm
soak-storm: ## Have the controller of a running cluster fail in all kinds of ways for SIGNET_SOAK (60s)
	SIGNET_SOAK=$${SIGNET_SOAK:-60s} go test -count=1 -timeout 24h -v -run '^TestWhateverTheControllerDoesNothingIsLost$$' ./internal/cli

# So many kills of each kind: of agents and hooks, which take a second each, and of processes that write and certify.
SOAK_AGENT_KILLS ?= 200
SOAK_KILLS ?= 400

.PHONY: soak-kills
soak-kills: ## Kill (SIGKILL) agents and hooks, and processes that write and that certify: 1,000 times in all
	SIGNET_KILLS=$(SOAK_AGENT_KILLS) go test -count=1 -timeout 20m -v -run '^TestWhoeverIsKilledNothingIsLost$$' ./internal/cli
	SIGNET_KILLS=$(SOAK_KILLS) go test -count=1 -timeout 10m -v -run 'UnderKill$$' ./internal/disk

# The time limit ends the run half a minute early, and it says how far it came.
.PHONY: soak-million
soak-million: ## Have a million requests, honest and hostile, decided, and each certificate judged; 25 minutes at most
	GOGC=400 SIGNET_REQUESTS=1000000 go test -count=1 -timeout 1530s -v -run '^TestRequestsGetOnlyWhatThePolicyAllows$$' ./internal/misissue

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (PACKAGES)
	.ci/fuzz $(FUZZTIME) $(PACKAGES)

.PHONY: soak-fuzz
soak-fuzz: ## Run each fuzz target for SIGNET_SOAK_FUZZ (60s), and count the executions (PACKAGES)
	.ci/fuzz $(or $(SIGNET_SOAK_FUZZ),60s) $(PACKAGES)

.PHONY: fips
fips: ## Run all tests in FIPS 140-3 mode, with fips140=only where Juju's libraries are not linked (PACKAGES)
	.ci/fips $(PACKAGES)

# How much is measured: quick (a minute), default (six minutes on two cores) or full, the sizes of the targets.
SIGNET_BENCH ?= default

.PHONY: bench
bench: $(VAULT) ## Measure against the targets (SIGNET_BENCH; bench/results.json), run all benchmarks (BENCHTIME, PACKAGES), issue through a real Vault
	SIGNET_BENCH=$(SIGNET_BENCH) go test -count=1 -timeout 90m -v -run '^TestBench$$' ./internal/bench
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(PACKAGES) | tee bench/parts.txt
	SIGNET_VAULT=$(VAULT) go test -count=1 -v -run '^TestVaultIsTheLimit$$' ./internal/ca/vault

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check format, vet and the rules of .golangci.yml (PACKAGES)
	$(GOLANGCI_LINT) config verify
	$(GOLANGCI_LINT) run $(PACKAGES)

.PHONY: vuln
vuln: $(GOVULNCHECK) ## Look for known vulnerabilities; needs https://vuln.go.dev (PACKAGES)
	$(GOVULNCHECK) $(PACKAGES)

.PHONY: charm
charm: $(foreach charm,$(CHARMS),$(ARCHES:%=dist/$(charm)_%.charm)) ## Pack dist/<charm>_<arch>.charm, byte for byte the same every time

.PHONY: reproducible
reproducible: ## Pack the charms here and from a copy elsewhere, and compare the bytes
	.ci/reproducible

.PHONY: sbom
sbom: $(CYCLONEDX) $(ARCHES:%=dist/linux_%/signet) ## Write what the program is made of, read from its build information: dist/signet_<arch>.cdx.json
	for arch in $(ARCHES); do \
		$(CYCLONEDX) bin -json -std -noserial -notimestamp -version "$(VERSION)" -output dist/signet_$$arch.cdx.json dist/linux_$$arch/signet; \
	done

.PHONY: print-version
print-version:
	@echo "$(VERSION)"

.PHONY: clean
clean: ## Remove what was built; tools and Go's caches stay
	rm -rf dist dispatch

# Always asks go, which knows better than make what is up to date.
.PHONY: FORCE
FORCE:

dist/linux_%/signet: FORCE
	GOOS=linux GOARCH=$* go build -ldflags "$(LDFLAGS)" -o $@ ./cmd/signet

PACK = go run ./internal/charmpack/cmd -arch $* -binary $< -version "$(VERSION)" -out $@

dist/signet_%.charm: dist/linux_%/signet FORCE
	$(PACK)

# The same program under other metadata.
dist/signet-node_%.charm: dist/linux_%/signet FORCE
	$(PACK) -charm charms/node

# The version is part of the path, so that a new pin installs anew and an old one is never taken for it.
$(GOLANGCI_LINT):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

$(KUBE_APISERVER):
	cd e2e/kubernetes && go build -o $@ -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$(KUBERNETES_VERSION) \
		-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37" .

$(VAULT):
	cd e2e/vault && go build -o $@ .

$(CYCLONEDX):
	GOBIN=$(@D) go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)

$(GOVULNCHECK):
	GOBIN=$(@D) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
