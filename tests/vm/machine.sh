# The second machine: Debian's kernel 6.1 in qemu, by software emulation, so that it needs neither KVM nor a place
# to fetch images from. Sourced by `run` and `power-cut`.
#
# Its root is an ext4 image made afresh from this machine's busybox and a few programs with their libraries, the
# dwell binary, the tests' executables and this repository at its own path. cgroups are v2 only, modules are loaded
# by the kernel on demand. It must never see this machine's disks or network (`restrict=on`).

source "$(dirname "${BASH_SOURCE[0]}")/../setup/prepare.sh"

vm=$repo/tests/vm
cache=${DWELL_VM_CACHE:-$HOME/.cache/dwell-vm}
# Programs of this machine that scripts inside may use; each goes in with its libraries.
programs="bash ip ss nft strace unshare nsenter setpriv setsid losetup"
# The parts of the module tree that dwell may make the kernel load.
module_parts="drivers/virtio drivers/block drivers/net/veth.ko drivers/net/tun.ko drivers/net/virtio_net.ko
    drivers/net/net_failover.ko net fs/overlayfs fs/fuse lib crypto"

prepare_machine() {
    need /bin/busybox=busybox-static qemu-system-x86_64=qemu-system-x86 cpio=cpio mke2fs=e2fsprogs ip=iproute2 ss=iproute2 nft=nftables \
        strace=strace python3=python3
    mkdir -p "$cache"
    fetch_kernel
    make_initramfs
}

# Sets `kernel`, the folder with vmlinuz and modules. One that was fetched once is kept: delete ~/.cache/dwell-vm for
# a newer one.
fetch_kernel() {
    local package
    for kernel in "$cache"/linux-image-*; do
        [ ! -e "$kernel/complete" ] || return 0
    done
    update_package_lists
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p' | head -1)
    [ -n "$package" ] || die "apt knows no linux-image-cloud-amd64: the machine is for Debian on x86-64"
    say "fetching $package"
    kernel=$cache/$package
    rm -rf "$kernel"
    mkdir -p "$kernel/deb"
    (cd "$kernel/deb" && apt-get download -qq "$package" 2>/dev/null) || die "apt-get download $package failed"
    dpkg-deb -x "$kernel"/deb/*.deb "$kernel/all"
    mv "$kernel"/all/boot/vmlinuz-* "$kernel/vmlinuz"
    select_modules
    rm -rf "$kernel/deb" "$kernel/all"
    touch "$kernel/complete"
}

select_modules() {
    local release from to part
    release=$(ls "$kernel/all/lib/modules")
    from=$kernel/all/lib/modules/$release
    to=$kernel/modules/lib/modules/$release
    mkdir -p "$to"
    cp "$from"/modules.builtin* "$from"/modules.order "$to"
    for part in $module_parts; do
        mkdir -p "$to/kernel/$(dirname "$part")"
        cp -r "$from/kernel/$part" "$to/kernel/$part"
    done
    /bin/busybox depmod -b "$kernel/modules" "$release"
}

# A few modules and a script that find the disk and hand over to it.
make_initramfs() {
    initramfs=$kernel/initramfs.gz
    [ "$initramfs" -nt "$vm/initramfs-init" ] && return
    local root=$scratch/initramfs
    mkdir -p "$root"/{bin,dev,proc,sys,root,modules}
    cp /bin/busybox "$root/bin/busybox"
    cp "$vm/initramfs-init" "$root/init"
    find "$kernel/modules" \( -name 'virtio*.ko' -o -name 'virtio_blk.ko' \) -exec cp -t "$root/modules" {} +
    (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$initramfs"
}

# make_image FILE: everything the machine will see, as one disk.
make_image() {
    local root=$scratch/root program
    mkdir -p "$root"/{bin,sbin,dev,proc,sys,run,tmp,root,mnt,etc,var/lib,var/tmp,usr/bin,usr/sbin,"$repo"}
    cp /bin/busybox "$root/bin/busybox"
    "$root/bin/busybox" --list | grep -vx busybox | while read -r program; do ln -sf busybox "$root/bin/$program"; done
    ln -sf ../bin/busybox "$root/sbin/modprobe"
    ln -sf ../../bin/busybox "$root/usr/bin/env"
    for program in $programs; do copy_program "$program" "$root"; done
    # busybox's own shell runs its own `ip` whatever else is installed, and that one knows too little.
    ln -sf bash "$root/bin/sh"
    cp -r "$kernel/modules/lib/modules" "$root/lib/"
    cp -r "$vm/etc/." "$root/etc/"
    install -m 755 "$vm/machine-init" "$root/sbin/machine-init"
    copy_repository "$root"
    copy_tests "$root"
    rm -f "$1"
    mke2fs -q -F -t ext4 -d "$root" -E root_owner=0:0,lazy_itable_init=1 "$1" "${DWELL_VM_DISK:-2G}" >/dev/null
    rm -rf "$root"
}

# copy_program NAME ROOT: with the libraries that ldd names, each at its own path.
copy_program() {
    local file library
    file=$(command -v "$1")
    rm -f "$2/bin/$1"
    install -D "$(readlink -f "$file")" "$2/usr/bin/$1"
    ln -sf "../usr/bin/$1" "$2/bin/$1"
    ldd "$file" | grep -o '/[^ ]*' | while read -r library; do
        [ -e "$2$library" ] || install -D "$(readlink -f "$library")" "$2$library"
    done
}

# Tests find sources and guests by paths that were compiled in, so the repository keeps its path.
copy_repository() {
    (cd "$repo" && tar -c --exclude=./.git --exclude=./target --exclude=./pause/target .) | tar -x -C "$1$repo"
}

# What `DWELL_BIN` and `DWELL_VM_TESTS` name, if they are set: the machine is of use without them.
copy_tests() {
    mkdir -p "$1/opt/dwell/tests"
    [ -z "${DWELL_BIN:-}" ] || install -m 755 "$DWELL_BIN" "$1/usr/bin/dwell"
    [ -n "${DWELL_VM_TESTS:-}" ] || return 0
    find "$DWELL_VM_TESTS" -maxdepth 1 -type f -exec cp -t "$1/opt/dwell/tests/" {} +
    [ ! -d "$DWELL_VM_TESTS/programs" ] || cp -a "$DWELL_VM_TESTS/programs/." "$1/"
}

# boot IMAGE COMMAND…: runs the command inside as root, from the repository's folder; returns its exit status.
# The status comes back on a line with a random word, so that no output can be taken for it.
boot() {
    local image=$1 word status
    shift
    word=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
    printf '%q ' "$@" >"$scratch/command"
    start_qemu "$image" "$word" "$(base64 -w0 <"$scratch/command")" </dev/null | sed -u 's,\r$,,' |
        tee "$scratch/console" | grep --line-buffered -v "^dwell-vm $word" || true
    status=$(sed -n "s/^dwell-vm $word exit //p" "$scratch/console")
    [ -n "$status" ] || { echo "error: the machine stopped or timed out without a result" >&2; return 124; }
    return "$status"
}

# start_qemu IMAGE WORD COMMAND-IN-BASE64. `no_timer_check`: on a busy machine the kernel's test of the emulated timer
# may see no tick and give up.
start_qemu() {
    timeout --foreground -k 5 "${DWELL_VM_TIMEOUT:-1800}" qemu-system-x86_64 \
        -accel tcg,thread=multi -cpu max -smp "${DWELL_VM_CPUS:-2}" -m "${DWELL_VM_MEMORY:-1024}" \
        -nodefaults -no-reboot -display none -serial "${serial:-stdio}" -pidfile "$scratch/qemu.pid" \
        -kernel "$kernel/vmlinuz" -initrd "$initramfs" \
        -drive "file=$1,if=virtio,format=raw,cache=writeback" \
        -netdev user,id=net,restrict=on,ipv6=on -device virtio-net-pci,netdev=net,romfile= \
        -append "console=ttyS0 quiet panic=-1 no_timer_check root=/dev/vda dwell.word=$2 dwell.repo=$repo dwell.command=$3"
}
