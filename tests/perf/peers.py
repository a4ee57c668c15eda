"""The commands that are measured, each with what it needs to run on this machine, seccomp and logs on.

crun and runc take a bundle whose root is a plain writable directory on disk (no overlay, which favours them), with a
network namespace of its own that holds loopback alone, and podman's own seccomp filter. podman uses crun, overlay on
disk, netavark's bridge, `k8s-file` logs.
"""

import glob
import json
import os
import resource
import select
import shutil
import subprocess

from clock import Fifo, quietly
from world import mount

IMAGE = "localhost/dwell-perf:latest"


class Dwell:
    """A node in a state folder of its own; its `run` folder is in memory, as /run/dwell is."""

    def __init__(self, binary: str, rootfs: str, wasm: str, scratch: str):
        self.binary, self.rootfs, self.wasm = binary, f"rootfs:{rootfs}", f"wasm:{wasm}"
        self.state, self.scratch = f"{scratch}/dwell", scratch
        os.makedirs(f"{self.state}/run")
        mount("tmpfs", f"{self.state}/run", "tmpfs")

    def argv(self, *words: str) -> list:
        return [self.binary, "--state-dir", self.state, *words]

    def manifest(self, name: str, image: str, command: list, members: int = 1) -> str:
        """A manifest whose members all do the same."""
        return self.manifests(name, [pod(name, image, command, members)])

    def manifests(self, file: str, pods: list) -> str:
        path = f"{self.scratch}/{file}.yaml"
        with open(path, "w") as out:
            out.write("\n---\n".join(json.dumps(one) for one in pods))
        return path

    def node(self):
        """Pid of the node, if there is one: it holds the lock of the state folder."""
        try:
            lock = os.stat(f"{self.state}/lib/lock")
        except FileNotFoundError:
            return None
        wanted = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
        for line in open("/proc/locks"):
            words = line.split()
            if "FLOCK" in words and wanted in words:
                return int(words[4])
        return None

    def end_node(self):
        """As a service manager would: SIGTERM, and wait."""
        pid = self.node()
        if pid:
            pidfd = os.pidfd_open(pid)
            os.kill(pid, 15)
            select.select([pidfd], [], [], 30)
            os.close(pidfd)


def pod(name: str, image: str, command: list, members: int = 1, volumes: list = (), **more) -> dict:
    """A v1.Pod. `volumes`: (host folder, mount path)."""
    mounts = [{"name": f"v{at}", "mountPath": path} for at, (_, path) in enumerate(volumes)]
    container = {"image": image, **({"command": command} if command else {}), **more}
    if mounts:
        container["volumeMounts"] = mounts
    spec = {
        "restartPolicy": "Never",
        "containers": [{"name": f"m{at}", **container} for at in range(members)],
    }
    if volumes:
        spec["volumes"] = [{"name": f"v{at}", "hostPath": {"path": host}} for at, (host, _) in enumerate(volumes)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


class Podman:
    """podman with its own storage and network configuration, nothing of the host's."""

    def __init__(self, rootfs: str, scratch: str):
        self.scratch = f"{scratch}/podman"
        os.makedirs(self.scratch)
        files = ulimit(resource.RLIMIT_NOFILE, 1 << 20)
        self._write("containers.conf", f"""
            [containers]
            default_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]
            log_driver = "k8s-file"
            [engine]
            cgroup_manager = "cgroupfs"
            events_logger = "file"
            runtime = "crun"
            [network]
            network_backend = "netavark"
            network_config_dir = "{self.scratch}/networks"
            """)
        self._write("storage.conf", f"""
            [storage]
            driver = "overlay"
            graphroot = "{self.scratch}/graph"
            runroot = "/run/dwell-perf-podman"
            """)
        self.env = {**os.environ, "CONTAINERS_CONF": f"{self.scratch}/containers.conf",
                    "CONTAINERS_STORAGE_CONF": f"{self.scratch}/storage.conf"}
        os.makedirs(f"{self.scratch}/fifo")
        self.fifo = Fifo(f"{self.scratch}/fifo/out")
        self._import(rootfs)

    def _write(self, name: str, text: str):
        with open(f"{self.scratch}/{name}", "w") as out:
            out.write("\n".join(line.strip() for line in text.splitlines()))

    def _import(self, rootfs: str):
        tar = subprocess.Popen(["tar", "-C", rootfs, "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(["podman", "import", "-q", "-c", "ENV PATH=/bin", "-", IMAGE], stdin=tar.stdout, env=self.env, check=True,
                       stdout=subprocess.DEVNULL)
        tar.wait()

    def kube(self, name: str, command: list, members: int = 1) -> str:
        """A manifest for `kube play`. The members see the named pipe."""
        volumes = [(f"{self.scratch}/fifo", "/fifo")]
        path = f"{self.scratch}/{name}.yaml"
        with open(path, "w") as out:
            json.dump(pod(name, IMAGE, command, members, volumes, imagePullPolicy="Never"), out)
        return path

    def seccomp(self) -> dict:
        """The filter that podman gives a container, as it wrote it for crun."""
        quietly(["podman", "create", "--name", "seccomp", IMAGE, "true"], self.env)
        quietly(["podman", "init", "seccomp"], self.env)
        found = glob.glob(f"{self.scratch}/graph/overlay-containers/*/userdata/config.json")
        with open(found[0]) as config:
            seccomp = json.load(config)["linux"]["seccomp"]
        quietly(["podman", "rm", "-f", "seccomp"], self.env)
        return seccomp


class Bare:
    """crun or runc by itself, on a bundle."""

    def __init__(self, name: str, rootfs: str, seccomp: dict, scratch: str):
        self.name, self.bundle = name, f"{scratch}/{name}"
        os.makedirs(self.bundle)
        subprocess.run(["cp", "-a", rootfs, f"{self.bundle}/rootfs"], check=True)
        subprocess.run([name, "spec"], cwd=self.bundle, check=True)
        with open(f"{self.bundle}/config.json") as config:
            self.config = json.load(config)
        self.config["process"]["terminal"] = False
        # A limit above the host's own cannot be set without CAP_SYS_RESOURCE.
        self.config["process"].pop("rlimits", None)
        self.config["root"]["readonly"] = False
        self.config["linux"]["seccomp"] = seccomp

    def bundle_for(self, ident: str, command: list) -> str:
        folder = f"{self.bundle}/{ident}"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        config = json.loads(json.dumps(self.config))
        config["process"]["args"] = command
        config["root"]["path"] = f"{self.bundle}/rootfs"
        config["linux"]["cgroupsPath"] = f"/dwell-perf-{os.getpid()}-{self.name}-{ident}"
        with open(f"{folder}/config.json", "w") as out:
            json.dump(config, out)
        return folder

    def run(self, ident: str, command: list, *options: str) -> list:
        return [self.name, "run", *options, "--bundle", self.bundle_for(ident, command), ident]


def ulimit(which: int, most: int) -> int:
    """The host's own hard limit, which is all that may be set without CAP_SYS_RESOURCE."""
    hard = resource.getrlimit(which)[1]
    return most if hard == resource.RLIM_INFINITY else min(hard, most)
