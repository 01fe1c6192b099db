"""Builds what is missing, and says which versions there are."""

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
PROGRAMS = TARGET / "http" / "release"
ACCRUE = pathlib.Path(os.environ.get("ACCRUE", TARGET / "dist" / "accrue")).resolve()
NODE = shutil.which("node")
# the system's is built with profiles; one that was compiled without takes 1.4 times as long
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
FASTAPI_PYTHON = HERE / "fastapi/.venv/bin/python"


def build(others):
    cargo(HERE, TARGET / "http", "release")
    if "ACCRUE" not in os.environ:
        cargo(ROOT, TARGET, "dist")
    if "express" in others:
        express = HERE / "express"
        once(express / "package-lock.json", express / "node_modules", npm_ci)
    if "fastapi" in others:
        fastapi = HERE / "fastapi"
        once(fastapi / "requirements.txt", fastapi / ".venv", python_venv)


def cargo(package, target, profile):
    run("cargo", "build", "--locked", "--profile", profile, "--quiet", "--target-dir", target, cwd=package)


def once(lock, folder, install):
    """Installs into `folder` what `lock` lists, unless that is there already."""
    installed = folder / "installed"
    if not installed.exists() or installed.read_text() != lock.read_text():
        install(lock, folder)
        installed.write_text(lock.read_text())


def npm_ci(lock, _):
    if not NODE or not shutil.which("npm"):
        raise SystemExit("express needs Node 20 or newer, with npm")
    run("npm", "ci", "--no-audit", "--no-fund", "--silent", cwd=lock.parent)


def python_venv(lock, folder):
    # Debian's: apt-get install python3-venv
    run(PYTHON, "-m", "venv", "--clear", folder)
    pip = (folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
    run(*pip, "-r", lock)


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
            advice = f"cargo update -p {name} --precise {theirs[name]}"
            raise SystemExit(f"{name} is {ours[name]} here and {theirs[name]} in accrue: {advice}")


def machine():
    with open("/proc/cpuinfo") as cpuinfo:
        models = [line.split(": ")[1].strip() for line in cpuinfo if line.startswith("model name")]
    # not every architecture names one
    return f"{(models or [platform.machine()])[0]}, {os.cpu_count()} cores, Linux {platform.release()}"


def versions(others):
    rust = locked(HERE / "Cargo.lock")
    found = {"accrue": said(ACCRUE, "--version"), "rustc": said("rustc", "--version")}
    found |= {name: rust[name] for name in ("hyper", "tokio")}
    if "axum" in others:
        found |= {name: rust[name] for name in ("axum", "axum-extra")}
    if "express" in others:
        packages = json.loads((HERE / "express/package-lock.json").read_text())["packages"]
        found |= {"Node": said(NODE, "--version")}
        found |= {name: packages[f"node_modules/{name}"]["version"] for name in ("express", "ably")}
    if "fastapi" in others:
        requirements = (HERE / "fastapi/requirements.txt").read_text()
        pinned = dict(re.findall(r"^([a-z-]+)==(\S+)", requirements, re.MULTILINE))
        found |= {"Python": said(FASTAPI_PYTHON, "--version")}
        found |= {name: pinned[name] for name in ("fastapi", "uvicorn", "uvloop", "httptools")}
        found |= {"ably-python": pinned["ably"]}
    return found | {"wrk": said("wrk", "--version")}


def said(*argv):
    """The version in what it says first (`wrk --version` has its usage in it, and ends with status 1)."""
    first = subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()[0]
    return next(word for word in first.removeprefix("wrk debian/").lstrip("v").split() if word[0].isdigit())
