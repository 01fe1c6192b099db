"""Builds what is missing, and says which versions there are."""

import os
import pathlib
import platform
import subprocess
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
PROGRAMS = TARGET / "http" / "release"
ACCRUE = pathlib.Path(os.environ.get("ACCRUE", TARGET / "release" / "accrue")).resolve()


def build(others):
    cargo(HERE, TARGET / "http")
    if "ACCRUE" not in os.environ:
        cargo(ROOT, TARGET)


def cargo(package, target):
    run("cargo", "build", "--locked", "--release", "--quiet", "--target-dir", target, cwd=package)


def run(*argv, **options):
    if subprocess.run(argv, **options).returncode != 0:
        raise SystemExit(f"failed: {' '.join(map(str, argv))}")


def locked(lock):
    """The versions in a Cargo.lock, by name."""
    return {package["name"]: package["version"] for package in tomllib.loads(lock.read_text())["package"]}


def same_floor():
    """The floor is accrue's only if it is made of the same."""
    ours, theirs = locked(HERE / "Cargo.lock"), locked(ROOT / "Cargo.lock")
    for name in ("bytes", "http", "httparse", "hyper", "hyper-util", "mio", "tokio"):
        if ours[name] != theirs[name]:
            raise SystemExit(f"{name} is {ours[name]} here and {theirs[name]} in accrue: cargo update -p {name} --precise {theirs[name]}")


def machine():
    with open("/proc/cpuinfo") as cpuinfo:
        model = next((line.split(": ")[1].strip() for line in cpuinfo if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"


def versions(others):
    rust = locked(HERE / "Cargo.lock")
    accrue = output(ACCRUE, "--version").split()[-1]
    found = {"accrue": accrue, "hyper": rust["hyper"], "tokio": rust["tokio"]}
    return found | {"rustc": output("rustc", "--version").split()[1], "wrk": output("wrk", "--version").split()[1]}


def output(*argv):
    """What it says first; `wrk --version` ends with status 1."""
    return subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()[0]
