# README's two commands are `make demo` and `make test`; each installs what it needs.

.PHONY: demo test check fmt lint doc needs

demo: needs
	cargo run --release --quiet -- demo --out out/demo

test: needs
	cargo test --workspace

# What .ci/run does after `make test`.
check: fmt lint doc

fmt:
	cargo fmt --all --check

lint: needs
	cargo clippy --workspace --all-targets -- -D warnings

doc: needs
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

needs:
	@tools/needs.sh
