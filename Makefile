.PHONY: help test lint bench quickstart

help:
	@echo 'make test        everything that must hold: format, clippy, tidy, tests (as the gate runs it)'
	@echo 'make lint        the quick half of it: format, licences, tidy, clippy'
	@echo 'make bench       measurements on this machine'
	@echo 'make quickstart  a coordinator and a worker on this machine, and a first rebuilt package'

test:
	@.ci/test

lint:
	cargo fmt --all --check
	.ci/deny
	.ci/tidy
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

bench:
	@mkdir -p target && dir=$$(mktemp -d target/bench.XXXXXX) && mkdir $$dir/store $$dir/index && \
	  cargo run --locked --release -p rebuilder-node -- bench store --dir $$dir/store && \
	  cargo run --locked --release -p rebuilder-node -- bench sync --source apt --dir $$dir/index

quickstart:
	@.ci/quickstart
