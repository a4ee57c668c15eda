"""Measures dwell beside its peers, round by round: every round runs each command once, so that whatever else the
machine does meets all of them alike. Called by `tests/perf/run`, in namespaces of its own.
"""

import argparse
import os
import subprocess
import sys
import time

import idle
import report
from clock import quietly, timed
from peers import IMAGE, Bare, Dwell, Podman, pod
from report import Aim, median
from world import World, cgroup_mounts, cgroup_move_ms, refuse_favordynmods

SAY = ["echo", "ready"]
STAY = ["sleep", "1000000"]
IDLE_PODS = 100
IDLE_PODS_PODMAN = 5
BETWEEN = 0.15
"""Seconds between two commands: the kernel takes the last one's namespaces down meanwhile."""


class Bench:
    def __init__(self, options, world: World):
        self.rounds, self.series = options.rounds, {}
        self.dwell = Dwell(options.dwell, options.rootfs, options.wasm, options.scratch)
        self.podman = Podman(options.rootfs, options.scratch)
        seccomp = self.podman.seccomp()
        self.bare = [Bare(name, options.rootfs, seccomp, options.scratch) for name in ("crun", "runc")]
        self.warm = False

    def note(self, name: str, value: float):
        if self.warm:
            self.series.setdefault(name, []).append(value)

    def interleave(self, cases: list, rounds: int):
        """One round to warm up, which is not counted. Each round begins with another command."""
        for at in range(rounds + 1):
            self.warm = at > 0
            progress(f"round {at} of {rounds}")
            turn = at % len(cases)
            for case in cases[turn:] + cases[:turn]:
                time.sleep(BETWEEN)
                case()
        progress("")

    # One member, from nothing.

    def dwell_run(self, what: str, image: str, command: list, node: bool, members: int = 1):
        name = f"{what.replace(' ', '-').replace(',', '').lower()}"
        path = self.dwell.manifest(name, image, command, members)
        argv = self.dwell.argv("run", "--rm", path)

        def case():
            if not node:
                self.dwell.end_node()
            elif not self.dwell.node():
                quietly(argv)
            time.sleep(BETWEEN)
            timing = timed(argv, members)
            label = f"dwell run, {what}{'' if node else ', no node yet'}"
            self.note(f"{label}: output", timing.first)
            self.note(f"{label}: removed", timing.end)
        return case

    def kube_play(self, members: int):
        name = f"perf{members}"
        path = self.podman.kube(name, ["sh", "-c", "echo ready >/fifo/out"], members)
        what = "podman kube play, " + ("one member" if members == 1 else f"{members} members")

        def case():
            timing = timed(["podman", "kube", "play", path], members, self.podman.fifo, self.podman.env)
            self.note(f"{what}: output", timing.first)
            down = quietly(["podman", "kube", "down", path], self.podman.env)
            self.note(f"{what}: removed", timing.end + down.end)
        return case

    def podman_run(self):
        timing = timed(["podman", "run", "--rm", IMAGE, *SAY], env=self.podman.env)
        self.note("podman run --rm, one member: output", timing.first)
        self.note("podman run --rm, one member: removed", timing.end)

    def bare_run(self, bare: Bare):
        def case():
            timing = timed(bare.run("one", SAY))
            self.note(f"{bare.name} run, one member: output", timing.first)
            self.note(f"{bare.name} run, one member: removed", timing.end)
        return case

    def from_nothing(self):
        dwell = self.dwell
        cases = [
            self.dwell_run("one native member", dwell.rootfs, SAY, node=False),
            self.dwell_run("one native member", dwell.rootfs, SAY, node=True),
            self.dwell_run("one Wasm member", dwell.wasm, [], node=False),
            self.dwell_run("one Wasm member", dwell.wasm, [], node=True),
            self.dwell_run("3 native members", dwell.rootfs, SAY, node=True, members=3),
            self.dwell_run("3 Wasm members", dwell.wasm, [], node=True, members=3),
            self.kube_play(1), self.kube_play(3), self.podman_run, *map(self.bare_run, self.bare),
        ]
        self.interleave(cases, self.rounds)

    # Beside members that live.

    def in_a_live_pod(self):
        dwell, env = self.dwell, self.podman.env
        quietly(dwell.argv("run", "-d", dwell.manifest("live", dwell.rootfs, STAY)))
        quietly(["podman", "pod", "create", "--name", "live"], env)
        quietly(["podman", "run", "-d", "--pod", "live", "--name", "live-member", IMAGE, *STAY], env)
        for bare in self.bare:
            quietly(bare.run("live", STAY, "--detach"))

        def note(name: str, argv: list, **more):
            def case():
                self.note(f"{name}: output", timed(argv, **more).first)
            return case
        self.interleave([
            note("dwell exec", dwell.argv("exec", "live", "--", *SAY)),
            note("podman exec", ["podman", "exec", "live-member", *SAY], env=env),
            note("podman run --rm --pod", ["podman", "run", "--rm", "--pod", "live", IMAGE, *SAY], env=env),
            *(note(f"{bare.name} exec", [bare.name, "exec", "live", *SAY]) for bare in self.bare),
        ], self.rounds)
        for bare in self.bare:
            quietly([bare.name, "delete", "-f", "live"])
        quietly(["podman", "pod", "rm", "-f", "-t", "0", "live"], env)
        quietly(dwell.argv("rm", "-f", "--grace-period", "0", "live"))

    # A hundred idle Pods.

    def idle_pods(self) -> dict:
        dwell = self.dwell
        stay = ["sleep", f"{1000000 + os.getpid()}"]
        quietly(dwell.argv("run", "--rm", dwell.manifest("first", dwell.rootfs, SAY)))
        before = idle.kernel()
        names = [f"idle-{os.getpid()}-{at}" for at in range(IDLE_PODS)]
        path = dwell.manifests("idle", [pod(name, dwell.rootfs, stay) for name in names])
        quietly(dwell.argv("run", "-d", path))
        is_member = lambda words: words[:2] == stay
        while len(idle.processes(is_member)) < IDLE_PODS:
            time.sleep(0.1)
        after = idle.kernel()
        titles = {f"default/{name}" for name in names}
        pauses = idle.processes(lambda words: words[0] == "pause" and titles.intersection(words))
        if len(pauses) != IDLE_PODS:
            raise SystemExit(f"error: {IDLE_PODS} Pods have {len(pauses)} pauses")
        found = {
            "pause": idle.pss(pauses) / IDLE_PODS, "node": idle.pss([dwell.node()]) / IDLE_PODS,
            "members": idle.pss(idle.processes(is_member)) / IDLE_PODS,
            "kernel": {name: (after[name] - before[name]) / IDLE_PODS for name in after},
        }
        self.listings()
        quietly(dwell.argv("rm", "-f", "--grace-period", "0", "--all"))
        return {**found, "podman": self.idle_podman()}

    def listings(self):
        def note(name: str, argv: list, env=None):
            def case():
                self.note(name, quietly(argv, env).end)
            return case
        self.interleave([note(f"dwell ps, {IDLE_PODS} Pods", self.dwell.argv("ps")),
                         note("podman ps, no container", ["podman", "ps"], self.podman.env)], self.rounds)

    def idle_podman(self) -> float:
        """kB of podman's own processes for each idle Pod: conmon, twice, and the infra container."""
        before = set(idle.processes(lambda words: True))
        for at in range(IDLE_PODS_PODMAN):
            quietly(["podman", "kube", "play", self.podman.kube(f"idle{at}", STAY)], self.podman.env)
        time.sleep(1)
        ours = idle.processes(lambda words: "conmon" in words[0] or words[0] == "/catatonit")
        kilobytes = idle.pss([pid for pid in ours if pid not in before]) / IDLE_PODS_PODMAN
        quietly(["podman", "pod", "rm", "-f", "-t", "0", "--all"], self.podman.env)
        return kilobytes

    def end(self):
        for argv, env in ((self.dwell.argv("rm", "-f", "--grace-period", "0", "--all"), None),
                          (["podman", "pod", "rm", "-f", "-t", "0", "--all"], self.podman.env),
                          (["podman", "rm", "-f", "-t", "0", "--all"], self.podman.env)):
            subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for bare in self.bare:
            subprocess.run([bare.name, "delete", "-f", "live"], stderr=subprocess.DEVNULL)
        self.dwell.end_node()


def judged(bench: Bench, idle_pods: dict, dwell: str) -> list:
    """The ratios, each with its aim."""
    at = lambda name: median(bench.series[name])
    further = lambda what, one: (at(f"{what}: output") - at(f"{one}: output")) / 2
    native, wasm = "dwell run, one native member", "dwell run, one Wasm member"
    kube, run = "podman kube play, one member", "podman run --rm, one member"

    def ratio(what, above, below, end="output", aim="", enough=None, most=None):
        figure = at(f"{above}: {end}") / at(f"{below}: {end}")
        met = None if enough is most is None else figure >= enough if enough else figure <= most
        return Aim(what, figure, "x", aim, met)
    fifteen = {"aim": "15 or more", "enough": 15}
    crun = {"aim": "above 1", "enough": 1}
    lone = f"{native}, no node yet"
    size, stripped = report.binary(dwell)
    own = idle_pods["pause"] + idle_pods["node"]
    listing = at(f"dwell ps, {IDLE_PODS} Pods") / at("podman ps, no container")
    member, member_wasm = further("dwell run, 3 native members", native), further("dwell run, 3 Wasm members", wasm)
    member_podman = further("podman kube play, 3 members", kube)
    return [
        "First output, a node running: how many times faster is dwell?",
        ratio("than podman kube play (a Pod with an IP, too)", kube, native, **fifteen),
        ratio("than podman run (one container with an IP)", run, native),
        ratio("than crun run (no network, no layer, no logs)", "crun run, one member", native, **crun),
        ratio("than runc run (the same)", "runc run, one member", native),
        "First output, no node running",
        ratio("than podman kube play", kube, lone),
        ratio("than podman run", run, lone),
        ratio("than crun run", "crun run, one member", lone),
        "Until removed, a node running",
        ratio("than podman kube play and kube down", kube, native, "removed"),
        ratio("than podman run --rm", run, native, "removed", **fifteen),
        ratio("than crun run", "crun run, one member", native, "removed", **crun),
        "In a live Pod",
        ratio("exec: than podman exec", "podman exec", "dwell exec", **fifteen),
        ratio("exec: than crun exec", "crun exec", "dwell exec", **crun),
        Aim("a further member: than a further member of kube play", member_podman / member, "x", "15 or more",
            member_podman / member >= 15),
        Aim("a further member: than podman run --pod", at("podman run --rm --pod: output") / member, "x", "", None),
        Aim("a further member, dwell", member, "ms", "", None),
        Aim("a further Wasm member, dwell", member_wasm, "ms", "", None),
        "A Wasm member, its module in the cache: how many times slower than a native one?",
        ratio("first output, a node running", wasm, native, aim="1.5 or less", most=1.5),
        ratio("until removed, a node running", wasm, native, "removed", aim="1.5 or less", most=1.5),
        ratio("first output, no node running", f"{wasm}, no node yet", lone),
        f"{IDLE_PODS} idle Pods",
        Aim("memory for each beyond its members' own: node, pause", own, "kB", "below 200", own < 200),
        Aim("podman's own for each of its idle Pods", idle_pods["podman"], "kB", "", None),
        Aim("dwell ps, against podman ps without any container", listing, "x", "0.2 or less", listing <= 0.2),
        "The binary",
        Aim("size" + (", stripped" if stripped else ", NOT STRIPPED"), size / 1e6, "MB", "below 40, stripped",
            stripped and size < 40e6),
    ]


def memory(found: dict) -> str:
    kernel = ", ".join(f"{name} {value:.0f}" for name, value in found["kernel"].items())
    return (f"kB for each of {IDLE_PODS} idle Pods\n"
            f"  dwell's own: pause {found['pause']:.1f}, node {found['node']:.1f} (no other process stays)\n"
            f"  its one member (busybox sleep): {found['members']:.1f}\n"
            f"  the kernel's, for Pod and member: {sum(found['kernel'].values()):.0f} ({kernel})\n")


def progress(text: str):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def main():
    parser = argparse.ArgumentParser(prog="tests/perf/run")
    parser.add_argument("rounds", nargs="?", type=int, default=30)
    parser.add_argument("--record", action="store_true")
    for name in ("dwell", "rootfs", "wasm", "scratch", "page"):
        parser.add_argument(f"--{name}", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    refuse_favordynmods()
    load = os.getloadavg()[0]
    if load > 1:
        print(f"warning: the load is {load:.1f}: this machine is busy, and every figure will be worse than it should be")
    world = World(options.scratch)
    if world.filesystem() == "tmpfs":
        raise SystemExit(f"error: {options.scratch} is in memory; set DWELL_PERF_DIR to a folder on disk")
    move = cgroup_move_ms()
    try:
        bench = Bench(options, world)
        try:
            bench.from_nothing()
            bench.in_a_live_pod()
            idle_pods = bench.idle_pods()
        finally:
            bench.end()
    finally:
        world.clear()
    text = "\n".join([
        report.aims(judged(bench, idle_pods, options.dwell)), report.figures(bench.series), memory(idle_pods),
        report.machine(world.filesystem(), cgroup_mounts(), move, report.versions(options.dwell),
                       (load, os.getloadavg()[0])),
    ])
    print(text)
    if options.record:
        report.record(options.page, text)


if __name__ == "__main__":
    main()
