# `make help` lists the targets. What takes more than a line is a script in deploy/local.

# Built by the Go command on the spot, from the module proxy: nothing to install.
GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The same for the checker of known vulnerabilities. Its database is fetched each time.
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/nudged
	go build -trimpath -o bin/nudged ./cmd/nudged

.PHONY: test
test: ## all tests, the integration tests against a Kafka and a Redis of their own
	@deploy/local/test

.PHONY: demo
demo: build ## the whole thing in one process, nothing to install
	bin/nudged demo

.PHONY: bench
bench: build ## the benchmark, against a Kafka and a Redis of its own; arguments: make bench BENCH="..."
	deploy/local/with-services go run ./bench $(BENCH)

.PHONY: mutation
mutation: ## breaks every statement of the rule language once, and sees its test fail (minutes)
	go run ./rules/mutation

.PHONY: chaos
chaos: ## kills, cuts and empties everything, and proves that nothing is lost or repeated; arguments: make chaos CHAOS="-seed 7 -duration 20m"
	go run ./internal/chaos $(CHAOS)

.PHONY: chaos-short
chaos-short: ## the same for some minutes, as a test: a fixed seed, then another one each time
	deploy/local/with-services go test -tags chaos_short -count=1 -v -run TestNothingIsLostOrRepeated ./internal/chaos

.PHONY: lint
lint: ## golangci-lint (the first time, it is built: minutes)
	go run $(GOLANGCI_LINT) run ./...

.PHONY: vulncheck
vulncheck: ## known vulnerabilities of what nudged is linked from (fetches their database from the internet)
	go run $(GOVULNCHECK) ./cmd/... ./internal/... ./processor/... ./sinks/... ./rules/... ./experiment/...

.PHONY: release
release: ## dist/: the programs for all platforms, bills of materials, checksums
	go run ./deploy/release --out dist

.PHONY: services
services: ## bring up a Kafka and a Redis on 127.0.0.1 and leave them up
	@deploy/local/up
	@sed -n 's/^NUDGED_TEST/export &/p' "$${NUDGED_SERVICES_DIR:-deploy/local/.run}/services.env"

.PHONY: services-down
services-down: ## end what `make services` started, delete its data
	@deploy/local/down

.PHONY: clean
clean: services-down ## services-down, and delete what was built
	rm -rf bin dist deploy/local/.run
