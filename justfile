# Shortcuts for those who have `just`; each line also works when typed by hand.

# What the README shows first: the main job on embedded weights and pictures, offline.
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# The whole test suite, as CI runs it.
test *ARGS:
    cargo test --release --workspace {{ARGS}}

# Format, lints, documentation, licences: all that CI asks besides the tests.
lint:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps
    .ci/licences

# Speed of the kernels and of feature extraction on this machine.
bench:
    cargo run --release -p offshoot-kernels --example kernel_speed
    cargo run --release -p offshoot-nn --example feature_speed

# Everything that CI runs.
ci:
    .ci/run
