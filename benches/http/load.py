"""Load from wrk, on the other core, and what the server's process spent on it."""

import json
import os
import pathlib
import resource
import signal
import subprocess
import time

CONNECTIONS = 64
LUA = pathlib.Path(__file__).with_name("wrk.lua")


def put(process, load, seconds):
    """One sample: all other servers are paused."""
    os.truncate(process.log, 0)
    process.resume()
    time.sleep(0.05)
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d1h", "--timeout", "10s", "-s", LUA]
    argv += [part for name, value in load.headers.items() for part in ("-H", f"{name}: {value}")]
    before, load_before = process.cpu_seconds(), children_seconds()
    wrk = subprocess.Popen([*argv, f"http://127.0.0.1:{process.port}{load.path}"], stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(seconds)
    finally:
        # its own -d knows whole seconds only
        wrk.send_signal(signal.SIGINT)
        out, _ = wrk.communicate()
    cpu, load_cpu = process.cpu_seconds() - before, children_seconds() - load_before
    # it notices that the connections are gone, and finishes what is in flight
    time.sleep(0.1)
    process.pause()

    done = json.loads(out.splitlines()[-1])
    took = done["microseconds"] / 1e6
    if done["requests"] == 0 or any(done["errors"].values()):
        raise SystemExit(f"wrk met errors: {done}. The server's log:\n{process.tail()}")
    # an answer to a client without rights would be a 200 as well, but shorter
    if done["bytes"] < 0.95 * done["requests"] * len(load.answer.raw):
        raise SystemExit(f"answers became shorter than {len(load.answer.raw)} bytes: {done}")
    return {
        "requests": done["requests"],
        "seconds": took,
        "cpu_seconds": cpu,
        "cpu_us_per_request": cpu / done["requests"] * 1e6,
        "requests_per_second": done["requests"] / took,
        "cpu_share": cpu / took,
        "load_cpu_share": load_cpu / took,
    }


def children_seconds():
    """What children that have ended used: while servers run, wrk's time."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def rounds(contestants, sizes, count, seconds, progress):
    """`count` rounds, in each of which each contestant is asked for each size once, and another one is the first.

    `contestants` maps a name to what it answers with, by size: a process and the load for it.
    """
    samples = []
    names = list(contestants)
    for number in range(count):
        for place, size in enumerate(sizes):
            first = (number + place) % len(names)
            for name in names[first:] + names[:first]:
                process, load = contestants[name][size]
                progress(f"round {number + 1} of {count}: {name}, {size} channels")
                samples.append({"round": number, "contestant": name, "channels": size} | put(process, load, seconds))
    return samples
