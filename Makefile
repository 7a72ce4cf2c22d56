.PHONY: help test test-store test-damage test-hostile test-stranger test-corpus fuzz lint sim bench bench-readers quickstart

help:
	@echo 'make test        everything that must hold: format, clippy, tidy, tests (as the gate runs it)'
	@echo 'make test-store  power cuts, cuts of recoveries and damaged files, thousands for each engine'
	@echo 'make test-damage 1,000 flipped bits and 500 cut files of a data directory, each engine: none is silent'
	@echo 'make test-hostile every hostile package there is, in real builds: half an hour'
	@echo 'make test-stranger a minute of strangers at full speed: work, answers and memory stay in bounds'
	@echo 'make test-corpus the real indexes of this machine'\''s mirror, read as apt reads them: minutes, network'
	@echo 'make fuzz        bytes that nobody means for every reader, FUZZ_SECS=600 at a time, all at once'
	@echo 'make lint        the quick half of it: format, licences, tidy, clippy'
	@echo 'make sim         2,000 worlds that seeds make, and every bug on purpose (docs/simulation.md)'
	@echo 'make bench       measurements on this machine'
	@echo 'make bench-readers half a million artifacts: syncs, memory, start and pages for readers stay in bounds'
	@echo 'make quickstart  a coordinator and a worker on this machine, and a first rebuilt package'

test:
	@.ci/test

# What is too long for the gate: a quarter of an hour.
test-store:
	cargo test --locked -p rebuilder-node --lib store:: -- --ignored --nocapture \
	  --skip measure_this_machine --test-threads 1

# ENGINE=sled or redb: only that one's files.
test-damage:
	$(if $(ENGINE),DAMAGE_ENGINE=$(ENGINE)) DAMAGE_FLIPS=1000 DAMAGE_CUTS=500 DAMAGE_OTHERS=200 \
	  cargo test --locked -p rebuilder-node --test damage -- --nocapture --test-threads 1

test-hostile:
	cargo build --locked -p rebuilder-node -p rebuilder-ctl
	REBUILDER_HOSTILE=all cargo test --locked -p rebuilder-node --test hostile -- --nocapture
	cargo test --locked -p rebuilder-node --lib sandbox:: -- --ignored --nocapture
	.ci/cgroup2

# Optimized, but not as one program: that takes longer to build than all else here.
test-stranger:
	@mkdir -p target && dir=$$(mktemp -d target/stranger.XXXXXX) && \
	  CARGO_PROFILE_DEV_OPT_LEVEL=2 cargo run --locked -p rebuilder-node -- \
	  bench stranger --dir $$dir && rm -r $$dir

test-corpus:
	@.ci/corpus

fuzz:
	cargo test --locked -p rebuilder-node --lib fuzz_test:: -- --ignored --nocapture --test-threads 6

lint:
	cargo fmt --all --check
	.ci/deny
	.ci/tidy
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

sim:
	cargo sim sweep --seeds 2000
	cargo sim mutants

bench:
	@mkdir -p target && dir=$$(mktemp -d target/bench.XXXXXX) && mkdir $$dir/store $$dir/index && \
	  cargo run --locked --release -p rebuilder-node -- bench store --dir $$dir/store && \
	  cargo run --locked --release -p rebuilder-node -- bench sync --source apt --dir $$dir/index

# A quarter of an hour with the build. Lines of the coordinator that it runs would hide the figures.
bench-readers:
	@mkdir -p target && dir=$$(mktemp -d target/readers.XXXXXX) && \
	  RUST_LOG=error cargo run --locked --release -p rebuilder-node -- \
	  bench readers --dir $$dir && rm -r $$dir

quickstart:
	@.ci/quickstart
