"""A peer's process, watched from outside: its CPU time, its memory, and the commits it makes.

CPU time is the kernel's, of the process and all its children, from start to exit; beside it stands
what the rest of the machine used meanwhile: broker, database, and whatever else disturbed the run.
Memory is the sum of the peaks of these processes, looked at as long as they live. Commits are seen
at the server, by its counters, asked every 20 ms; nothing else may commit there meanwhile.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

LOOK_SECONDS = 0.02


@dataclass
class Usage:
    """What a process and its children used."""

    cpu_seconds: float = 0.0
    others_cpu_seconds: float = 0.0
    peak_kb: dict[int, int] = field(default_factory=dict)

    @property
    def peak_mb(self):
        return sum(self.peak_kb.values()) / 1024


def family(process):
    """A process and its living descendants."""
    try:
        with open(f"/proc/{process}/task/{process}/children") as children:
            return [process] + [one for child in children.read().split() for one in family(int(child))]
    except OSError:
        return []


def peak_kb(process):
    try:
        with open(f"/proc/{process}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return 0


def machine_cpu_seconds():
    """Of all processes since the machine started."""
    with open("/proc/stat") as statistics:
        user, nice, system, _, _, irq, softirq = map(int, statistics.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def run(command, environment, log):
    """Runs a command to its end. Returns what it printed and its usage; errors go to the file `log`."""
    usage, before = Usage(), machine_cpu_seconds()
    with open(log, "wb") as errors:
        child = subprocess.Popen(
            command, env=os.environ | environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
        )  # fmt: skip
    output = []
    reader = threading.Thread(target=lambda: output.append(child.stdout.read()))
    reader.start()
    try:
        while True:
            ended, status, used = os.wait4(child.pid, os.WNOHANG)
            if ended:
                break
            for process in family(child.pid):
                usage.peak_kb[process] = max(usage.peak_kb.get(process, 0), peak_kb(process))
            time.sleep(LOOK_SECONDS)
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    child.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    if child.returncode:
        raise SystemExit(f"peers: {command[0]} ended with {child.returncode}; see {log}")
    usage.cpu_seconds = used.ru_utime + used.ru_stime
    usage.others_cpu_seconds = machine_cpu_seconds() - before - usage.cpu_seconds
    return output[0].decode(), usage


def since_first_record(output, _, last_commit):
    """Seconds of a peer that prints when it had its first record."""
    return last_commit - json.loads(output)["first_record"]


class Beside:
    """Something that a thread does while the `with` lasts: its `run`, until `stop` is set."""

    def __init__(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


class Commits(Beside):
    """Looks for commits."""

    # COMMIT statements, and what was made durable: each statement counts there, so the last is a commit
    # in any case, and all are for a peer without transactions.
    COUNTERS = ("Com_commit", "Handler_commit")

    def __init__(self, connection):
        self.connection = connection
        self.times = {name: [] for name in self.COUNTERS}
        super().__init__()

    def last(self):
        return self.times["Handler_commit"][-1]

    def longest_gap(self):
        times = next(times for times in self.times.values() if times)
        return max(late - early for early, late in zip(times, [*times[1:], self.last()], strict=True))

    def run(self):
        before = {}
        with self.connection.cursor() as cursor:
            while not self.stop.wait(LOOK_SECONDS):
                cursor.execute(f"SHOW GLOBAL STATUS WHERE Variable_name IN {self.COUNTERS}")
                numbers, now = dict(cursor.fetchall()), time.time()
                for name in self.COUNTERS:
                    if before and numbers[name] != before[name]:
                        self.times[name].append(now)
                before = numbers


def python(script, **words):
    """The command of a script beside this one, with its options."""
    program = Path(__file__).resolve().parent / script
    return [sys.executable, str(program), *(f"--{name.replace('_', '-')}={value}" for name, value in words.items())]
