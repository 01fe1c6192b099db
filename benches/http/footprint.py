"""What there is to say besides requests: memory, the time to start, and size on disk."""

import resource
import statistics
import time

from client import receive, send

CONNECTIONS = 1000
STARTS = 20


def allow_files(count=4096):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SystemExit(f"{count} open files are needed, and only {hard} are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


def memory(start, load):
    """Resident bytes of a fresh process: with one connection, and with a thousand that were all used and are idle."""
    process = start()
    connections = []
    try:
        # in less time than after which accrue closes idle connections
        for count in (1, CONNECTIONS):
            while len(connections) < count:
                connections.append(process.connect())
                send(connections[-1], load.path, load.headers)
                receive(connections[-1])
            yield count, process.resident_bytes()
        for connection in connections:
            connection.setblocking(False)
            try:
                if connection.recv(1) == b"":
                    raise SystemExit("an idle connection was closed before memory was measured")
            except BlockingIOError:
                pass
    finally:
        for connection in connections:
            connection.close()
        process.end()


def first_answer_seconds(start, load):
    """From before the process is made to the end of its first answer."""
    process = start()
    try:
        with process.connect() as connection:
            send(connection, load.path, load.headers)
            receive(connection)
            return time.perf_counter() - process.started
    finally:
        process.end()


def measure(starts, load, say):
    """For each of the two, in turn: `starts` starts it."""
    allow_files()
    figures = {name: {} for name in starts}
    for name, start in starts.items():
        say(f"memory: {name}")
        for count, resident in memory(start, load):
            figures[name][f"resident memory, {count:,} connection{'s' if count > 1 else ''}"] = resident
    times = {name: [] for name in starts}
    for number in range(STARTS):
        say(f"start {number + 1} of {STARTS}")
        for name, start in starts.items():
            times[name].append(first_answer_seconds(start, load))
    for name, seconds in times.items():
        figures[name]["from exec to the first answer"] = statistics.median(seconds)
        figures[name]["starts"] = seconds
    return figures
