"""Which of how many processes this is, as torchrun or SLURM's srun says in the environment."""

import os
import re
from collections.abc import MutableMapping


def adopt_slurm(environment: MutableMapping[str, str] = os.environ) -> None:
    """Says in torchrun's variables what srun says in its own; what is set already stays.

    Only a job step counts: a script of sbatch has SLURM's other variables too, and is one process.
    """
    if "RANK" in environment or int(environment.get("SLURM_STEP_NUM_TASKS", 1)) == 1:
        return
    job = int(environment.get("SLURM_JOB_ID", 0))
    said = {
        "RANK": environment["SLURM_PROCID"],
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "WORLD_SIZE": environment["SLURM_STEP_NUM_TASKS"],
        "MASTER_ADDR": first_host(environment["SLURM_STEP_NODELIST"]),
        "MASTER_PORT": str(20000 + job % 10000),  # jobs that share a node do not meet
    }
    for name, value in said.items():
        environment.setdefault(name, value)


def first_host(nodes: str) -> str:
    """The first host of SLURM's list: `gpu[03-05,9],login` begins with gpu03."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", first[0] if first else nodes)


def several() -> bool:
    """Whether this process was launched as one of a group."""
    return "RANK" in os.environ


def by_torchrun() -> bool:
    """Whether torchrun's own process, the agent, watches over ours."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    return int(os.environ.get("RANK", 0))


def world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))


def local_rank() -> int:
    """Which of this machine's processes, and of its GPUs, is ours."""
    return int(os.environ.get("LOCAL_RANK", 0))


def local_world_size() -> int:
    """How many of the processes are on this machine, as far as the launcher says; else all."""
    of_slurm = os.environ.get("SLURM_NTASKS_PER_NODE", "") if several() else ""
    local = os.environ.get("LOCAL_WORLD_SIZE") or (of_slurm if of_slurm.isdigit() else "")
    return int(local or world_size())
