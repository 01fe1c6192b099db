"""Server processes, each on one core; whoever asks them is on another."""

import contextlib
import os
import signal
import socket
import subprocess
import time

CORES = sorted(os.sched_getaffinity(0))
# interrupts are mostly handled by the first core, so it is the last that servers run on
LOAD_CORE, SERVER_CORE = CORES[0], CORES[-1]


@contextlib.contextmanager
def on_server_core():
    """What is started in here runs on the servers' core, and so do all its threads."""
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {LOAD_CORE})


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    def __init__(self, argv, env, log):
        self.port = free_port()
        self.log = log
        argv = [str(part).replace("{port}", str(self.port)) for part in argv]
        # nothing of the caller's environment: ACCRUE_... would be read as configuration
        env = {"PATH": os.environ["PATH"], "PORT": str(self.port)} | env
        with on_server_core(), open(log, "ab") as out:
            self.started = time.perf_counter()
            self.popen = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.pid = self.popen.pid

    def cpu_seconds(self):
        """What all its threads have used, ended ones too, in user mode and in the kernel: clock_getcpuclockid(3)."""
        return time.clock_gettime_ns((~self.pid << 3) | 2) / 1e9

    def resident_bytes(self):
        """Once it is the same twice, a moment apart: what was freed may be given back a little later."""
        last = None
        while (now := self._resident_bytes()) != last:
            last = now
            time.sleep(0.2)
        return now

    def _resident_bytes(self):
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))

    def connect(self, timeout=10.0):
        """The first connection, as soon as there is somebody to accept it."""
        deadline = time.perf_counter() + timeout
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=10)
            except ConnectionRefusedError:
                if self.popen.poll() is not None or time.perf_counter() > deadline:
                    raise SystemExit(f"{self.popen.args[0]} does not listen. Its log:\n{self.tail()}") from None
                time.sleep(50e-6)

    def tail(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-2000:]

    def pause(self):
        self.popen.send_signal(signal.SIGSTOP)

    def resume(self):
        self.popen.send_signal(signal.SIGCONT)

    def end(self):
        self.popen.kill()
        self.popen.wait()
