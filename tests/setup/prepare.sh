# What every script of this repository shares: where things are, and how a missing program is installed.
#
# Sourced, never run. It must never install what is there already, nor anything but by the ordinary package clients,
# and it prints one line before each thing that takes more than a moment.

set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# CI clones into a new folder each time, so its build products live in one place that outlasts the clone.
if [ -n "${CI:-}" ] && [ -z "${CARGO_TARGET_DIR:-}" ]; then
    export CARGO_TARGET_DIR=$HOME/.cache/dwell-target
fi
target_dir=${CARGO_TARGET_DIR:-$repo/target}

say() { printf '\033[1m== %s\033[0m\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 125
}

# need PROGRAM=PACKAGE…: installs the Debian packages whose program (or file, when it is an absolute path) is missing.
need() {
    local pair missing=()
    for pair in "$@"; do
        have "${pair%%=*}" || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# Its words go to standard error, so that it may run inside $(…).
install_packages() {
    [ "$(id -u)" = 0 ] || die "missing packages: $* (run as root, or install them first)"
    say "installing $*" >&2
    update_package_lists
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$scratch/apt.log" 2>&1 ||
        { tail -20 "$scratch/apt.log" >&2; die "apt-get install $* failed"; }
}

have() {
    case $1 in
        /*) [ -e "$1" ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# Old lists name versions that the mirror no longer has. Once per script.
update_package_lists() {
    [ ! -e "$scratch/apt-updated" ] || return 0
    apt-get update -qq >"$scratch/apt.log" 2>&1 || { tail -5 "$scratch/apt.log" >&2; die "apt-get update failed"; }
    touch "$scratch/apt-updated"
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/dwell-setup.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# Rust by rustup is often on no PATH but that of a login shell.
have cargo || PATH=$HOME/.cargo/bin:$PATH

# Builds the binary that people run. The whole workspace, since features are unified over what is selected: the tests
# select all of it, and would else build the engine a second time.
build_dwell() {
    have cargo || die "cargo not found: install Rust 1.95 or later (https://rustup.rs)"
    need cc=gcc /usr/include/stdio.h=libc6-dev
    say "building dwell"
    (cd "$repo" && cargo build --release --workspace --locked)
    find_dwell
}

# Exports DWELL_BIN, the path of the release binary.
find_dwell() {
    local host
    host=$(rustc -vV | sed -n 's/^host: //p')
    DWELL_BIN=$target_dir/$host/release/dwell
    [ -x "$DWELL_BIN" ] || die "$DWELL_BIN does not exist: run cargo build --release"
    export DWELL_BIN
}

# Builds the guests and the native root file system, and exports where they are.
build_guests() {
    export DWELL_GUESTS_OUT=${DWELL_GUESTS_OUT:-$repo/guests/out}
    export DWELL_ROOTFS=${DWELL_ROOTFS:-$repo/examples/out/rootfs}
    "$repo/guests/build"
    "$repo/examples/rootfs"
}
