//! Cgroup duties that need unsafe: the device allow-list of version 2, a small BPF program attached to a group.
//!
//! Version 1 has files for it; version 2 asks a program for every open and mknod of a device. The program is put
//! together here, instruction by instruction, so no library and no compiler is needed. Rule:
//! `Documentation/admin-guide/cgroup-v2.rst` ("Device controller"), `include/uapi/linux/bpf.h`.

pub mod device_filter;
