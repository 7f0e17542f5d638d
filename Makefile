# README's two commands are `make demo` and `make test`; each target installs what it needs. What stands behind
# two number signs is what `make help` says.

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-24s %s\n", $$1, $$2 }' Makefile

.PHONY: parity bench-detector demo test lab test-opencv train train-reference check fmt lint doc needs

demo: needs ## the whole chain on pictures that ship: enrols, lets in, keeps out; draws out/demo
	@echo "== the first build takes 5 to 8 minutes on two cores (seconds from then on), the demo half a minute"
	cargo run --release -- demo --out out/demo

# Most tests wait for a real daemon, so that four at a time keep two cores busy.
test: needs ## the tests
	@echo "== the first time this takes about 12 minutes on two cores: 6 to compile, 6 for the tests"
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} cargo test --workspace

# The detector against OpenCV itself, in a Python of its own outside the repository.
test-opencv: needs ## the detector against OpenCV itself
	FACELATCH_OPENCV_PYTHON=$$(tools/opencv.sh) cargo test --test all detector:: -- --nocapture

# MQTT against a real mosquitto with TLS; installs it.
.PHONY: test-mqtt
test-mqtt: needs ## MQTT against a real mosquitto
	@tools/mosquitto.sh
	cargo test --test all mqtt:: -- --nocapture

# The automation of docs/guide/home-assistant.md in a real Home Assistant, which it installs (some minutes, 1.5 GB);
# needs root or sudo.
.PHONY: test-homeassistant
test-homeassistant: needs ## the documented automation in a real Home Assistant
	tests/homeassistant/run.sh

# Licences, sources and advisories of the dependencies (deny.toml); installs cargo-deny.
.PHONY: deny
deny: ## licences, sources and advisories of the dependencies
	@tools/deny.sh

# The gateway's page in a real Chromium; installs it. screenshots: docs/images/gateway-*.png anew.
.PHONY: test-browser screenshots
test-browser: needs ## the gateway's page in a real Chromium
	tests/browser/run.sh

screenshots: needs ## docs/images/gateway-*.png
	tests/browser/run.sh --screenshots docs/images

# Small bugs in the decision core, each of which a test must find (docs/results/mutants.md); installs cargo-mutants.
# ARGS="--re access/policy" for a part.
.PHONY: mutants mutants-diff
mutants: ## every mutant of the decision core is caught by a test: hours
	tools/mutants.sh $(ARGS)

# Only what differs from the merge base with origin/main, or from the commit before.
mutants-diff: ## the same for what a change touches
	tools/mutants.sh --diff $(ARGS)

# The network in tract beside onnxruntime, taking turns in one run (docs/design/network-runtime.md).
.PHONY: bench-embedder
bench-embedder: needs ## the network in tract beside onnxruntime
	benches/networks/run.sh

# Instructions of an embedding on aarch64, under qemu-user.
.PHONY: count-embedder-aarch64
count-embedder-aarch64: needs ## instructions of an embedding on 64-bit ARM
	benches/networks/aarch64.sh

# Exact search among a million templates beside FAISS and usearch, taking turns.
.PHONY: bench-gallery
bench-gallery: needs ## search among a million templates beside FAISS and usearch
	benches/gallery/run.sh

# Trains the shipped network; needs ../shared and hours (docs/design/network.md).
train: ## train the shipped network: hours (needs ../shared)
	training/train.sh default

train-reference: ## train the reference network: hours (needs ../shared)
	training/train.sh reference

# Writes config/facelatch.toml and docs/reference/{cli,config,gateway-config}.md from the code; `make test` holds them
# against it.
.PHONY: reference
reference: needs ## config/facelatch.toml and docs/reference from the code
	FACELATCH_WRITE_REFERENCE=1 cargo test --lib cli::reference

# What .ci/run does after `make test`.
check: fmt lint doc links ## formatting, clippy, rustdoc and the pages' links

# The fuzzers of what reads bytes from outside: do they still build? On the stable compiler, without sanitizers.
.PHONY: fuzz-check fuzz
fuzz-check: needs ## the fuzzers still build
	cargo check --manifest-path fuzz/Cargo.toml

# Runs each of them (or TARGET) for SECONDS, with the address sanitizer; installs cargo-fuzz.
SECONDS ?= 600
TARGET ?= $(sort $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs))))
fuzz: needs ## each fuzzer for SECONDS=600, or TARGET=name
	tools/fuzz.sh $(SECONDS) $(TARGET)

# The files in models/ are those that SHA256SUMS names, and it names all that ship.
.PHONY: models
models: ## the files in models/ are those of their checksums
	@cd models && sha256sum --check --quiet SHA256SUMS
	@cd models && for file in *.onnx *.toml *.cascade *.bin; do \
		grep -q "  $$file$$" SHA256SUMS || { echo "models/$$file is not in models/SHA256SUMS"; exit 1; }; done

# Links and names of pages lead somewhere.
.PHONY: links
links: ## the pages' links
	@tools/links.sh

fmt: ## formatting
	cargo fmt --all --check

lint: needs ## clippy
	cargo clippy --workspace --all-targets -- -D warnings

# Each hardware edge can be left out: none, each alone. All of them is what the other targets build.
.PHONY: features msrv
features: needs ## builds without cameras and lines, and with each of them alone
	@set -e; for feature in "" v4l gpiocdev rppal; do echo "== features: $${feature:-none}"; \
		cargo clippy --package facelatch --bins --no-default-features --features "$$feature" -- -D warnings; done

# The oldest compiler that Cargo.toml promises; rustup fetches it.
msrv: needs ## the build by the oldest compiler that is promised
	@version=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) && \
		rustup toolchain install --profile minimal --no-self-update $$version && \
		cargo +$$version check --workspace --bins

doc: needs ## rustdoc
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

needs:
	@tools/needs.sh

# The same rectangles as OpenCV on every instruction set: cases, rectangles, mismatches.
parity: needs ## the same rectangles as OpenCV on every instruction set (needs ../shared)
	tests/parity/run.sh

# Speed beside OpenCV's C++ detector.
bench-detector: needs ## the detector's speed beside OpenCV's
	benches/opencv/run.sh

# Instructions of a scan on 64-bit ARM beside OpenCV's, under qemu-user.
.PHONY: count-detector-aarch64
count-detector-aarch64: needs ## instructions of a scan on 64-bit ARM beside OpenCV's
	benches/opencv/aarch64.sh

# The daemon on a real kernel's camera and GPIO lines, in user-mode Linux: see docs/design/lab.md.
lab: needs ## the daemon on a real kernel's camera and lines, in user-mode Linux
	@lab/run.sh || [ $$? = 77 ]

# Debian's own kernel under QEMU, which enforces the unit's device policy.
.PHONY: lab-policy
lab-policy: needs ## the unit's device policy under Debian's own kernel
	@lab/qemu.sh amd64 || [ $$? = 77 ]

# The same and all other kinds: stock kernels under QEMU (device policy, aarch64), emulated Raspberry Pis.
.PHONY: lab-full test-aarch64
lab-full: needs ## all kinds of the lab
	@lab/full.sh

# The unit tests on aarch64, by qemu-user; built as the release is, whose dependencies they share.
test-aarch64: ## the unit tests on 64-bit ARM, by qemu-user
	@tools/aarch64.sh cargo test --release --workspace --lib --bins || [ $$? = 77 ]

# The Debian package on a real systemd in namespaces: see docs/design/lab.md.
.PHONY: lab-service lab-arm64 deb
lab-service: needs ## the package on a real systemd
	@lab/service/run.sh || [ $$? = 77 ]

# The package for 64-bit ARM, installed and purged in a Debian for it under qemu-user.
lab-arm64: needs ## the package for 64-bit ARM, installed and purged
	@lab/service/arm64.sh || [ $$? = 77 ]

deb: needs ## the Debian package, in target/debian
	tools/deb.sh
