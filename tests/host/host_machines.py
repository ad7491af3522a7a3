"""Machines for a cluster, made of this one: each with a network, a name and files of Ray of its own. Needs root."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

NETWORK = "10.213.77"
ENTER = 'hostname "$1" && mount --bind "$2" /tmp/ray && shift 2 && exec "$@"'


class Machine(NamedTuple):
    name: str
    space: str  # of its network
    address: str
    files: Path  # what it sees as /tmp/ray

    def inside(self, *words):
        """The command that runs a command there."""
        enter = ["ip", "netns", "exec", self.space, "unshare", "--uts", "--mount", "sh", "-c", ENTER, "sh"]
        return [*enter, self.name, str(self.files), *words]

    def ip(self, *words):
        ip("-n", self.space, *words)

    def kill(self):
        """Ends all that runs there, as when its power fails."""
        for pid in ip("netns", "pids", self.space).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@contextlib.contextmanager
def machines(folder, *names):
    """Machines on one wire; afterwards they are gone, with all that runs there."""
    Path("/tmp/ray").mkdir(exist_ok=True)
    made = [
        Machine(name, f"emerdiff-{os.getpid()}-{name}", f"{NETWORK}.{number}", folder / name)
        for number, name in enumerate(names, 1)
    ]
    try:
        for number, each in enumerate(made):
            each.files.mkdir()
            ip("netns", "add", each.space)
            connect(each, made[0], f"wire{number}")
        yield made
    finally:
        for each in made:
            with contextlib.suppress(subprocess.CalledProcessError):  # one that could not be made
                each.kill()
                ip("netns", "del", each.space)


def connect(machine, first, wire):
    """A wire from the machine to the bridge, which is in the first one."""
    if machine is first:
        machine.ip("link", "add", "out", "type", "bridge")
    else:
        first.ip("link", "add", wire, "type", "veth", "peer", "name", "out", "netns", machine.space)
        first.ip("link", "set", wire, "master", "out", "up")
    machine.ip("addr", "add", f"{machine.address}/24", "dev", "out")
    for device in ("lo", "out"):
        machine.ip("link", "set", device, "up")


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=30).stdout


def why_none():
    """Why no machines can be made here, or ""."""
    if not all(map(shutil.which, ("ip", "unshare", "mount"))):
        return "there is no ip, unshare or mount here (Debian's iproute2, util-linux and mount)"
    try:
        with tempfile.TemporaryDirectory() as folder, machines(Path(folder), "probe", "other") as (_, other):
            subprocess.run(other.inside("true"), check=True, capture_output=True, text=True, timeout=30)
    except subprocess.CalledProcessError as error:
        return f"no machines can be made of network namespaces here: {error.stderr.strip()}"
    return ""
