"""What is printed: ratios with their aims first, then every figure, then the machine."""

import os
import platform
import statistics
import subprocess
from typing import NamedTuple


class Aim(NamedTuple):
    what: str
    figure: float
    unit: str
    aim: str
    met: object
    """True, False, or None where nothing was aimed for."""


def median(values: list) -> float:
    return statistics.median(values)


def p90(values: list) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))]


def aims(rows: list) -> str:
    text = f"{'':58} {'figure':>12}  {'aim':<18}\n"
    for row in rows:
        if isinstance(row, str):
            text += f"{row}\n"
            continue
        verdict = {True: "met", False: "MISSED", None: ""}[row.met]
        text += f"  {row.what:56} {row.figure:>9.{1 if row.figure >= 10 else 2}f} {row.unit:<2}  {row.aim:<18} {verdict}".rstrip() + "\n"
    return text


def figures(series: dict) -> str:
    text = f"{'milliseconds':58} {'median':>8} {'p90':>8} {'min':>8} {'n':>4}\n"
    for name, values in series.items():
        text += f"  {name:56} {median(values):8.1f} {p90(values):8.1f} {min(values):8.1f} {len(values):4}\n"
    return text


def machine(filesystem: str, hierarchies: list, move_ms: float, versions: dict, load: tuple) -> str:
    """Everything that a reader needs to judge the figures."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
               platform.machine())
    memory = int(open("/proc/meminfo").readline().split()[1]) // (1 << 20)
    one = [options.split(",")[-1] for _, version, options in hierarchies if version == "cgroup"]
    kinds = ([f"version 1 ({' '.join(sorted(one))})"] if one else []) + (["version 2"] if len(one) < len(hierarchies) else [])
    distribution = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release") if "=" in line)
    return "\n".join([
        f"machine   {os.cpu_count()} processors ({cpu}), {memory} GiB, {distribution['PRETTY_NAME'].strip(chr(34))}",
        f"kernel    {platform.release()}, {platform.machine()}; moving a process between cgroups takes {move_ms:.1f} ms",
        f"layers    on {filesystem}; cgroups: {', '.join(kinds)}",
        f"peers     {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"load      {load[0]:.1f} before, {load[1]:.1f} after (one-minute average; the measuring itself makes 1 to 2)",
    ]) + "\n"


def versions(dwell: str) -> dict:
    first = lambda argv: subprocess.run(argv, capture_output=True, text=True).stdout.split("\n")[0].split()[-1]
    return {
        "dwell": first([dwell, "--version"]), "podman": first(["podman", "--version"]),
        "crun": first(["crun", "--version"]), "runc": first(["runc", "--version"]),
    }


def binary(path: str) -> tuple:
    """Size in bytes, and whether it is stripped: no section holds symbols or debug information."""
    data = open(path, "rb").read()
    number = lambda at, size: int.from_bytes(data[at:at + size], "little")
    table, size, count, names = number(0x28, 8), number(0x3A, 2), number(0x3C, 2), number(0x3E, 2)
    sections = [table + at * size for at in range(count)]
    text = number(sections[names] + 0x18, 8)
    starts = [text + number(at, 4) for at in sections]
    symbols = [number(at + 4, 4) == 2 for at in sections]
    return len(data), not any(symbols) and not any(data[at:at + 6] == b".debug" for at in starts)


PAGE = ("<!-- printed by tests/perf/run: begin -->", "<!-- printed by tests/perf/run: end -->")


def record(page: str, printed: str):
    """Replaces what stands between the page's markers."""
    text = open(page).read()
    before, rest = text.split(PAGE[0])
    after = rest.split(PAGE[1])[1]
    with open(page, "w") as out:
        out.write(f"{before}{PAGE[0]}\n```text\n{printed.rstrip()}\n```\n{PAGE[1]}{after}")
