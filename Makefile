# README's two commands are `make demo` and `make test`; each installs what it needs.

.PHONY: test-planted parity bench-detector demo test lab test-opencv train train-reference check fmt lint doc needs

demo: needs
	cargo run --release --quiet -- demo --out out/demo

test: needs
	cargo test --workspace

# The detector against OpenCV itself, in a Python of its own outside the repository.
test-opencv: needs
	FACELATCH_OPENCV_PYTHON=$$(tools/opencv.sh) cargo test --test detector -- --nocapture

# MQTT against a real mosquitto with TLS; installs it.
.PHONY: test-mqtt
test-mqtt: needs
	@tools/mosquitto.sh
	cargo test --test mqtt -- --nocapture

# The gateway's page in a real Chromium; installs it. screenshots: docs/images/gateway-*.png anew.
.PHONY: test-browser screenshots
test-browser: needs
	tests/browser/run.sh

screenshots: needs
	tests/browser/run.sh --screenshots docs/images

# The simulator (tests/simulation.rs) must find each bug that the feature plants.
test-planted: needs
	cargo test --features planted-bugs --test simulation -- --nocapture every_planted_bug

# The network in tract beside onnxruntime, taking turns in one run (docs/network-runtime.md).
.PHONY: bench-embedder
bench-embedder: needs
	benches/networks/run.sh

# Instructions of an embedding on aarch64, under qemu-user.
.PHONY: count-embedder-aarch64
count-embedder-aarch64: needs
	benches/networks/aarch64.sh

# Exact search among a million templates beside FAISS and usearch, taking turns.
.PHONY: bench-gallery
bench-gallery: needs
	benches/gallery/run.sh

# Trains the shipped network; needs ../shared and hours (docs/network.md).
train:
	training/train.sh default

train-reference:
	training/train.sh reference

# What .ci/run does after `make test`.
check: fmt lint doc

# The files in models/ are those that SHA256SUMS names, and it names all that ship.
.PHONY: models
models:
	@cd models && sha256sum --check --quiet SHA256SUMS
	@cd models && for file in *.onnx *.toml *.cascade *.bin; do \
		grep -q "  $$file$$" SHA256SUMS || { echo "models/$$file is not in models/SHA256SUMS"; exit 1; }; done

fmt:
	cargo fmt --all --check

lint: needs
	cargo clippy --workspace --all-targets -- -D warnings

doc: needs
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

needs:
	@tools/needs.sh

# The same rectangles as OpenCV on every instruction set: cases, rectangles, mismatches.
parity: needs
	tests/parity/run.sh

# Speed beside OpenCV's C++ detector.
bench-detector: needs
	benches/opencv/run.sh

# Instructions of a scan on 64-bit ARM beside OpenCV's, under qemu-user.
.PHONY: count-detector-aarch64
count-detector-aarch64: needs
	benches/opencv/aarch64.sh

# The daemon on a real kernel's camera and GPIO lines, in user-mode Linux: see docs/lab.md.
lab: needs
	@lab/run.sh || [ $$? = 77 ]

# Debian's own kernel under QEMU, which enforces the unit's device policy.
.PHONY: lab-policy
lab-policy: needs
	@lab/qemu.sh amd64 || [ $$? = 77 ]

# The same and all other kinds: stock kernels under QEMU (device policy, aarch64), emulated Raspberry Pis.
.PHONY: lab-full test-aarch64
lab-full: needs
	@lab/full.sh

# The unit tests on aarch64, by qemu-user; built as the release is, whose dependencies they share.
test-aarch64:
	@tools/aarch64.sh cargo test --release --lib --bins || [ $$? = 77 ]

# The Debian package on a real systemd in namespaces: see docs/lab.md.
.PHONY: lab-service lab-arm64 deb
lab-service: needs
	@lab/service/run.sh || [ $$? = 77 ]

# The package for 64-bit ARM, installed and purged in a Debian for it under qemu-user.
lab-arm64: needs
	@lab/service/arm64.sh || [ $$? = 77 ]

deb: needs
	tools/deb.sh
