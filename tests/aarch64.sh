#!/bin/sh
# Compiles and links pause for aarch64 with the linker that Rust brings along; with `all` as its argument, checks every
# crate of the workspace for aarch64 too, in a target folder of its own. Nothing is run.
# Needs `rustup target add aarch64-unknown-linux-gnu`; `all` also needs gcc-aarch64-linux-gnu and
# libc6-dev-arm64-cross, since the node's build script links pause and init.
set -eu
target=aarch64-unknown-linux-gnu
out=$(mktemp)
trap 'rm -f "$out"' EXIT
cd "$(dirname "$0")/../pause"
what=${1:-pause}
set -- --edition 2024 --crate-name pause --crate-type bin --target $target
while read -r option; do
    case $option in
    link-arg=-no* | link-arg=-static) ;; # for a compiler that drives the linker
    link-arg=-Wl,*) for argument in $(echo "${option#link-arg=-Wl,}" | tr , ' '); do set -- "$@" -C "link-arg=$argument"; done ;;
    *) set -- "$@" -C "$option" ;;
    esac
done <options
"${RUSTC:-rustc}" "$@" -C linker=rust-lld -C linker-flavor=ld.lld src/main.rs -o "$out"
echo "pause for aarch64: $(wc -c <"$out") bytes"
[ "$what" = all ] || exit 0
cd ..
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/aarch64-check"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
cargo check --release --workspace --locked --target $target
echo "every crate compiles for aarch64"
