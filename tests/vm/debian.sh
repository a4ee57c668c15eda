# A whole Debian with systemd for the second machine, where a service unit is what is tried. Sourced after `machine.sh`;
# made once, by debootstrap, and kept with the kernel.

make_debian() {
    need debootstrap=debootstrap
    local suite
    suite=$(. /etc/os-release && printf %s "$VERSION_CODENAME")
    debian=$cache/debian-$suite.tar
    [ ! -e "$debian" ] || return 0
    say "fetching Debian $suite with systemd"
    debootstrap --variant=minbase --include=systemd-sysv,kmod,procps "$suite" "$scratch/debian" >"$scratch/debootstrap.log" 2>&1 ||
        { tail -5 "$scratch/debootstrap.log" >&2; die "debootstrap $suite failed"; }
    rm -rf "$scratch/debian"/{var/cache/apt/*,var/lib/apt/lists/*,usr/share/{doc,man,locale}/*}
    tar -C "$scratch/debian" -cf "$debian.new" . && mv "$debian.new" "$debian"
    rm -rf "$scratch/debian"
}

# make_debian_image FILE: Debian, this repository and its products; one unit runs what the kernel's command line carries.
make_debian_image() {
    local root=$scratch/root
    mkdir -p "$root"
    tar -C "$root" -xf "$debian"
    cp -r "$kernel/modules/lib/modules" "$root/lib/"
    # In the form that this modprobe reads.
    chroot "$root" depmod "$(ls "$kernel/modules/lib/modules")"
    mkdir -p "$root$repo"
    copy_repository "$root"
    [ -z "${DWELL_BIN:-}" ] || install -D -m 755 "$DWELL_BIN" "$root/opt/dwell/dwell"
    install -m 755 "$vm/debian-command" "$root/sbin/debian-command"
    cp "$vm/debian-command.service" "$root/etc/systemd/system/"
    ln -sf ../debian-command.service "$root/etc/systemd/system/multi-user.target.wants/debian-command.service"
    ln -sf /lib/systemd/systemd "$root/sbin/machine-init"
    # Nobody logs in, and no disk but the root is waited for.
    ln -sf /dev/null "$root/etc/systemd/system/serial-getty@ttyS0.service"
    ln -sf /dev/null "$root/etc/systemd/system/getty.target"
    printf '/dev/vda / ext4 rw 0 0\n' >"$root/etc/fstab"
    printf 'second\n' >"$root/etc/hostname"
    : >"$root/etc/machine-id"
    rm -f "$1"
    mke2fs -q -F -t ext4 -d "$root" -E root_owner=0:0,lazy_itable_init=1 "$1" "${DWELL_VM_DISK:-2G}" >/dev/null
    rm -rf "$root"
}
