"""The clock stands outside: a command is started with a pipe, and clocked are its first output and its end.

For a command that shows no output of the program (`podman kube play`) the program writes into a named pipe instead,
which spares the peer its logs. Milliseconds, from just before the start of the command.
"""

import os
import select
import signal
import time
from typing import NamedTuple, Optional

PATIENCE = 60
"""Seconds after which a command is taken to hang."""


class Timing(NamedTuple):
    first: float
    """The last of the awaited lines of output."""
    end: float
    """The command's end."""


class Failed(Exception):
    """A command that failed, with what it said."""


class Fifo:
    """A named pipe that the harness reads. It is held open for writing too, so that a writer's end is no end."""

    def __init__(self, path: str):
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def timed(argv: list, lines: int = 1, fifo: Optional[Fifo] = None, env: Optional[dict] = None) -> Timing:
    """Runs a command that prints so many lines in all; 0: whatever it prints, `first` is its end then."""
    log = os.memfd_create("stderr")
    read, write = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null if fifo else write, 1),
               (os.POSIX_SPAWN_DUP2, log, 2)]
    try:
        start = time.monotonic_ns()
        pid = os.posix_spawnp(argv[0], argv, os.environ if env is None else env, file_actions=actions)
        os.close(write)
        write = -1
        first, printed = _await_lines(fifo.fd if fifo else read, lines, pid, outlives=fifo is not None)
        status = _end(pid)
        end = time.monotonic_ns()
        said = os.pread(log, 4000, 0).decode(errors="replace").strip()
        if status != 0 or (lines and first is None):
            raise Failed(f"{' '.join(argv)}: exit status {status}, {printed!r}: {said}")
        return Timing(((first or end) - start) / 1e6, (end - start) / 1e6)
    finally:
        for fd in (log, read, null) + ((write,) if write >= 0 else ()):
            os.close(fd)


def _await_lines(fd: int, lines: int, pid: int, outlives: bool):
    """Time of the last awaited line, and all that was printed by then. Stops early when the command has ended, unless the
    program outlives it: `podman kube play` may come back before its Pod has said a word."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not outlives:
        poll.register(pidfd, select.POLLIN)
    printed = b""
    try:
        while lines and printed.count(b"\n") < lines:
            ready = [one for one, _ in poll.poll(PATIENCE * 1000)]
            if not ready:
                os.kill(pid, signal.SIGKILL)
            if fd in ready:
                piece = os.read(fd, 65536)
                now = time.monotonic_ns()
                printed += piece
                if printed.count(b"\n") >= lines:
                    return now, printed
                if piece:
                    continue
                poll.unregister(fd)
            if pidfd in ready or not ready:
                return None, printed
        return None, printed
    finally:
        os.close(pidfd)


def _end(pid: int) -> int:
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(PATIENCE * 1000):
        os.kill(pid, signal.SIGKILL)
    os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def quietly(argv: list, env: Optional[dict] = None) -> Timing:
    """Runs a command that must succeed, for what it does."""
    return timed(argv, lines=0, env=env)
