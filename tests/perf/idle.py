"""What a hundred idle Pods cost: memory of dwell's own processes, and the kernel's share, named separately."""

import os
import re
import time

KERNEL = ("Slab", "KernelStack", "PageTables", "Percpu")


def processes(matches) -> list:
    """Pids whose argument list satisfies `matches`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline", "rb").read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if matches(words):
            found.append(int(pid))
    return found


def pss(pids: list) -> float:
    """Proportional set size of all of them, kB."""
    total = 0
    for pid in pids:
        rollup = open(f"/proc/{pid}/smaps_rollup").read()
        total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M).group(1))
    return total


def kernel() -> dict:
    """kB that the kernel holds for itself, once it has done what it had put off."""
    time.sleep(2)
    lines = dict(line.split(":") for line in open("/proc/meminfo"))
    return {name: int(lines[name].split()[0]) for name in KERNEL}
