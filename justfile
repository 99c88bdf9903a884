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

# Whether any kernel fell behind the speed that was recorded. Best on a quiet machine.
guard *ARGS:
    cargo build --release -p offshoot-kernels --example kernel_speed
    python3 benches/kernels/guard.py {{ARGS}}

# The kernels' tests with every read and write checked by AddressSanitizer, at every instruction
# level of this machine. Needs a nightly toolchain.
asan *ARGS:
    RUSTFLAGS=-Zsanitizer=address cargo +nightly test --release -p offshoot-kernels --lib --tests --target "$(rustc -vV | sed -n 's/^host: //p')" {{ARGS}}

# The same with valgrind, which knows no AVX-512: the levels up to AVX2.
memcheck *ARGS:
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=99" cargo test --release -p offshoot-kernels --lib --tests {{ARGS}}

# The kernels' tests at the portable level, on small shapes, in the interpreter that knows all rules
# about pointers. Needs a nightly toolchain with Miri.
miri *ARGS:
    MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-tree-borrows" cargo +nightly miri test -p offshoot-kernels --lib --tests {{ARGS}}

# The kernels' tests on an emulated 64-bit ARM processor. Needs the target, its GNU linker and QEMU.
arm *ARGS:
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
    cargo test --release -p offshoot-kernels --lib --tests --target aarch64-unknown-linux-gnu {{ARGS}}

# Every call of a tuning run to the disk fails once, and 200 runs are killed at any moment.
faults:
    OFFSHOOT_TEST_EVERY=1 cargo test --release -p offshoot-transfer --lib a_disk_that_fails -- --nocapture
    OFFSHOOT_TEST_KILLS=200 cargo test --release -p offshoot-cli --test interrupt a_killed_tuning -- --nocapture

# Everything that CI runs.
ci:
    .ci/run
