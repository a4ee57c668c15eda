"""The place in which everything is measured: a mount and a network namespace that `tests/perf/run` made.

dwell's `run` folder and everybody's /run are in memory there, as on an ordinary machine; layers are on disk. What the
host sees of it is processes and cgroups, and both are gone at the end: this file finds what a peer left behind.
"""

import ctypes
import os
import signal
import statistics
import subprocess
import time

FAST_MOVE_MS = 1.0
"""Moving a process between cgroups waits for an RCU grace period, some milliseconds; with favordynmods it does not."""


def cgroup_mounts() -> list:
    """(mount point, version, options) of every hierarchy."""
    words = [line.split() for line in open("/proc/self/mounts")]
    return [(word[1], word[2], word[3]) for word in words if word[2] in ("cgroup", "cgroup2")]


def is_hybrid() -> bool:
    """Whether version 1 and version 2 hierarchies are both mounted."""
    return len({version for _, version, _ in cgroup_mounts()}) == 2


def refuse_favordynmods():
    """Ends the run on a kernel that was switched: the peers' figures would be some 10 ms better than they are."""
    for path in ("/proc/self/mountinfo", "/proc/1/mountinfo"):
        if "favordynmods" in open(path).read():
            raise SystemExit("error: a cgroup hierarchy is mounted with favordynmods: measure on a fresh kernel")
    move = cgroup_move_ms()
    if move < FAST_MOVE_MS:
        raise SystemExit(f"error: moving a process between cgroups takes {move:.2f} ms: something was mounted with "
                         "favordynmods since this kernel started; measure on a fresh one")


def cgroup_move_ms() -> float:
    """Median of moving a process into a cgroup, by its parent."""
    folder = f"{cgroup_mounts()[0][0]}/dwell-perf-{os.getpid()}"
    os.mkdir(folder)
    took = []
    for _ in range(5):
        child = subprocess.Popen(["sleep", "100"])
        time.sleep(0.06)
        begin = time.monotonic_ns()
        with open(f"{folder}/cgroup.procs", "w") as procs:
            procs.write(str(child.pid))
            procs.flush()
        took.append((time.monotonic_ns() - begin) / 1e6)
        child.kill()
        child.wait()
    _retry_rmdir(folder)
    return statistics.median(took)


def _retry_rmdir(folder: str):
    for _ in range(50):
        try:
            return os.rmdir(folder)
        except OSError:
            time.sleep(0.02)


def mount(source: str, target: str, kind: str = "", bind: bool = False):
    """mount(2), seen by nobody outside this mount namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = 4096 if bind else 0
    if libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, None) != 0:
        errno = ctypes.get_errno()
        raise SystemExit(f"error: mount {source} on {target}: {os.strerror(errno)}")


class World:
    """Makes the place, and clears up behind everybody at the end."""

    def __init__(self, scratch: str):
        self.scratch = scratch
        self.cgroups_before = set(self._cgroups())
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        empty = f"{scratch}/empty"
        open(empty, "w").close()
        # Podman's blob cache and the like.
        if os.path.isdir("/var/lib/containers"):
            os.makedirs(f"{scratch}/containers")
            mount(f"{scratch}/containers", "/var/lib/containers", bind=True)
        mount("tmpfs", "/run", "tmpfs")
        for folder in ("lock", "netns"):
            os.makedirs(f"/run/{folder}")
        # crun 1.8 refuses a hybrid host whose version 2 hierarchy has any controller.
        if is_hybrid():
            for point, *_ in cgroup_mounts():
                if os.path.exists(f"{point}/cgroup.controllers"):
                    mount(empty, f"{point}/cgroup.controllers", bind=True)

    def filesystem(self) -> str:
        """Type of the file system below the scratch folder."""
        found = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", self.scratch], check=True, capture_output=True)
        return found.stdout.decode().strip()

    def _cgroups(self) -> list:
        return [path for point, *_ in cgroup_mounts() for path, _, _ in os.walk(point)]

    def strays(self) -> list:
        """Processes beside this one that are in our network namespace: nobody else's can be."""
        own = os.readlink("/proc/self/ns/net")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                same = os.readlink(f"/proc/{pid}/ns/net") == own
            except OSError:
                continue
            if same and int(pid) != os.getpid():
                found.append(int(pid))
        return found

    def clear(self):
        """Ends what still runs, removes the cgroups that are empty and were not there before."""
        for pid in self.strays():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.2)
        ours = ("dwell-", "libpod", "/crun", "/runc", "machine.slice")
        for path in sorted(set(self._cgroups()) - self.cgroups_before, key=len, reverse=True):
            if any(name in path for name in ours):
                try:
                    os.rmdir(path)
                except OSError:
                    pass
