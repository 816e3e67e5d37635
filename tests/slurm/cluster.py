"""A Slurm of one node on this machine, with Debian's slurm-wlm: its own config, keys, ports and folders."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SECONDS = 240  # for whatever a test waits for
PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch")
CONFIG = """
ClusterName=segtrain
SlurmctldHost={host}({address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=5
JobRequeue=1
KillWait=30
MinJobAge=600
NodeName={host} NodeAddr={address} CPUs=4 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Why there can be no Slurm here; nothing where it is installed now."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    if all(map(shutil.which, PROGRAMS)):
        return ""
    if not shutil.which("apt-get"):
        return f"needs apt-get, to install {' and '.join(PACKAGES)}"
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(["apt-get", *arguments], env=quiet, capture_output=True, text=True)
        if done.returncode:
            return f"apt-get {arguments[0]} failed: {done.stderr[-300:]}"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    return f"no {missing[0]} after apt-get install" if missing else ""


class Cluster:
    """While entered, Slurm runs; `environment` is that of its commands.

    Args:
        folder: for its files; short, for the path of a socket.
    """

    def __init__(self, folder: Path):
        self.folder, self.host = folder, socket.gethostname().split(".")[0]
        paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = os.environ | {"SLURM_CONF": f"{folder}/slurm.conf", "PATH": paths}
        self.environment |= {"OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}

    def __enter__(self) -> "Cluster":
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        (self.folder / "key").write_bytes(os.urandom(1024))
        (self.folder / "key").chmod(0o400)
        ports = {"controller": free_port(), "daemon": free_port()}
        address = socket.gethostbyname(socket.gethostname())
        values = {"host": self.host, "address": address, "folder": self.folder, **ports}
        (self.folder / "slurm.conf").write_text(CONFIG.format(**values))
        files = {"key-file": "key", "socket": "munge.socket", "pid-file": "munged.pid"}
        files |= {"log-file": "munged.log", "seed-file": "seed"}
        self.command("munged", "--force", *(f"--{key}={self.folder}/{name}" for key, name in files.items()))
        for program in ("slurmctld", "slurmd"):
            self.command(program)
        wait_until(lambda: "idle" in self.command("sinfo", "-h", "-o", "%T"), self.logs)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(AssertionError):
            self.command("scancel", "--user=root")
            self.command("scontrol", "shutdown")
        for name in ("slurmd", "slurmctld", "munged"):
            with suppress(OSError, ValueError):
                os.kill(int((self.folder / f"{name}.pid").read_text()), signal.SIGTERM)

    def command(self, *words: str) -> str:
        """What a command printed. Raises AssertionError where it failed."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *words: str, cwd: Path) -> subprocess.Popen:
        return subprocess.Popen(
            words,
            env=self.environment,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def submit(self, script: str, folder: Path, *options: str) -> str:
        """Submits a script that runs in `folder`, where job.txt gets its output; gives the job's number."""
        (folder / "job.sh").write_text(f"#!/bin/bash\n{script}\n")
        where = [f"--chdir={folder}", f"--output={folder}/job.txt", "--open-mode=append", "--export=ALL"]
        return self.command("sbatch", "--parsable", *where, *options, f"{folder}/job.sh").strip()

    def state(self, job: str) -> str:
        words = self.command("scontrol", "show", "job", job).split()
        return next(word for word in words if word.startswith("JobState=")).removeprefix("JobState=")

    def logs(self) -> str:
        return "".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("*.log")))


def wait_until(done: Callable[[], bool], say: Callable[[], str], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"still not after {seconds} s: {say()}"
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]
