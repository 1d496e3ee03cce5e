"""What the benchmarks ran on, and what the kernel says of single programs."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import coatcheck

FLUSHES = 100


def stated(folder: Path) -> dict[str, str]:
    """Name the machine and what is measured on it: figures without them mean nothing.

    `folder` is where the ledger will lie.
    """
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{os.cpu_count()} x {cpu_model()}, {memory_of_all_gib():.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}, "
        f"uvloop {version('uvloop')}, httptools {version('httptools')}",
        "coatcheck": f"{coatcheck.__version__}{revision()}",
        "one durable write of 4 KiB": f"{flush_us(folder):,.0f} µs",
    }


def cpu_model() -> str:
    """Return what the processors call themselves."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def memory_of_all_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def revision() -> str:
    """Return the commit of this work tree in brackets, and whether it was edited; nothing without git."""
    folder = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty= and edits", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return f" ({found.stdout.strip()})" if found.returncode == 0 else ""


def flush_us(folder: Path) -> float:
    """Return the median time of writing 4 KiB and waiting until the disk has them, in microseconds."""
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / "flush"
    took = []
    with trial.open("wb", buffering=0) as file:
        for _ in range(FLUSHES):
            file.write(bytes(4096))
            began = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter_ns() - began)
    trial.unlink()
    return statistics.median(took) / 1e3


def load() -> str:
    """Return the load average of the last minute."""
    return f"{os.getloadavg()[0]:.2f}"


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return user and system time of processes so far, all their threads, their children not."""
    return sum(cpu_seconds_of(pid) for pid in pids)


def cpu_seconds_of(pid: int) -> float:
    try:
        # The clock of another process, as clock_getcpuclockid(3) makes it: /proc counts in ticks of 10 ms.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        # The name of the program stands in brackets and may hold blanks.
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pids: Iterable[int]) -> float:
    """Return the resident memory of processes together; what they share counts for each."""
    return sum(resident_kib(pid) for pid in pids) / 1024


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise LookupError(pid)


def children(pid: int) -> list[int]:
    """Return the processes that this one started and that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it ended while we looked
        if parent == pid:
            found.append(int(stat.parent.name))
    return sorted(found)


class Others:
    """Tells how much of the machine other programs used since this was made: whether it was quiet."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = busy_seconds() - own_seconds()

    def share(self) -> float:
        """Return the share of all cores so far; call it when the programs of this run have ended."""
        theirs = busy_seconds() - own_seconds() - self._before
        return max(0.0, theirs / ((time.monotonic() - self._began) * (os.cpu_count() or 1)))

    def text(self) -> str:
        return f"{self.share():.1%} of the cores"


def busy_seconds() -> float:
    """Return the time that the cores worked for any program, since the machine started."""
    user, nice, system, _idle, _wait, irq, soft = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Return what this process and its children that have ended used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
