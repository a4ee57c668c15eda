#!/bin/sh
# Compiles and links pause for aarch64 with the linker that Rust brings along; nothing is run.
# Needs `rustup target add aarch64-unknown-linux-gnu`.
set -eu
out=$(mktemp)
trap 'rm -f "$out"' EXIT
cd "$(dirname "$0")/../pause"
set -- --edition 2024 --crate-name pause --crate-type bin --target aarch64-unknown-linux-gnu
while read -r option; do
    case $option in
    link-arg=-no* | link-arg=-static) ;; # for a compiler that drives the linker
    link-arg=-Wl,*) for argument in $(echo "${option#link-arg=-Wl,}" | tr , ' '); do set -- "$@" -C "link-arg=$argument"; done ;;
    *) set -- "$@" -C "$option" ;;
    esac
done <options
"${RUSTC:-rustc}" "$@" -C linker=rust-lld -C linker-flavor=ld.lld src/main.rs -o "$out"
echo "pause for aarch64: $(wc -c <"$out") bytes"
