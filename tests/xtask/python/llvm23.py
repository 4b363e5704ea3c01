#!/usr/bin/env python3
"""Installs the LLVM 23 that burn's CUDA backend links, from Python wheels.

    python3 tests/xtask/python/llvm23.py [DATA_HOME]

The build of burn's CUDA backend wants a static LLVM at
DATA_HOME/tracel/tracel-llvm-23.1.0-4, where DATA_HOME is $XDG_DATA_HOME, or
~/.local/share if that is not set. It downloads one; where that download
cannot be reached, this script makes the same folder from two wheels, which
tests/xtask/python/llvm23.txt pins by hash. Only the standard library and pip are used. A
second call finds the work done.
"""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

BUNDLE = "tracel-llvm-23.1.0-4"
MARKER = ".tracel-llvm-installed"
VERSION = "23.1."
# Inside both wheels; what is outside it serves Python programs only.
PREFIX = PurePosixPath("mlc_llvm_static/static")
TARGETS = {"NVPTX", "X86"} if os.uname().machine == "x86_64" else {"NVPTX", "AArch64"}


def default_data_home() -> Path:
    """The folder that the build would use."""
    configured = os.environ.get("XDG_DATA_HOME", "")
    if Path(configured).is_absolute():
        return Path(configured)
    return Path.home() / ".local" / "share"


def download(folder: Path) -> list[Path]:
    """Puts both wheels into `folder`. pip compares them with the pinned hashes."""
    requirements = Path(__file__).with_name("llvm23.txt")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:"]
    command += ["--require-hashes", "--requirement", str(requirements)]
    subprocess.run([*command, "--dest", str(folder)], check=True)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 2:
        raise RuntimeError(f"expected 2 wheels, pip downloaded {[w.name for w in wheels]}")
    return wheels


def unpack(wheel: Path, destination: Path) -> int:
    """Unpacks the SDK's part of a wheel and returns the number of files."""
    files = 0
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            name = PurePosixPath(entry.filename)
            if entry.is_dir() or not name.is_relative_to(PREFIX):
                continue
            relative = name.relative_to(PREFIX)
            if ".." in relative.parts:
                raise RuntimeError(f"{wheel.name}: {entry.filename} leaves its folder")
            path = destination / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
            files += 1
    return files


def check(folder: Path) -> str:
    """Makes the programs executable and asks the SDK what it is."""
    for program in (folder / "bin").iterdir():
        executable = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
        program.chmod(program.stat().st_mode | executable)

    def ask(option: str) -> str:
        command = [str(folder / "bin" / "llvm-config"), "--link-static", option]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        return answer.stdout.strip()

    version = ask("--version")
    if not version.startswith(VERSION):
        raise RuntimeError(f"llvm-config says version {version}, not {VERSION}x")
    missing = TARGETS - set(ask("--targets-built").split())
    if missing:
        raise RuntimeError(f"LLVM {version} lacks the targets {sorted(missing)}")
    return version


def main() -> int:
    if len(sys.argv) > 2 or sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return 0 if len(sys.argv) == 2 else 2
    given = sys.argv[1:]
    data_home = Path(given[0]).resolve() if given else default_data_home()
    bundle = data_home / "tracel" / BUNDLE
    if (bundle / MARKER).exists():
        print(f"LLVM is installed already: {bundle}")
        return 0
    bundle.parent.mkdir(parents=True, exist_ok=True)
    # In the destination's file system, so that one rename completes the work.
    with tempfile.TemporaryDirectory(prefix=".llvm23-", dir=bundle.parent) as scratch:
        print("fetching LLVM 23 as two wheels (92 MB)", flush=True)
        wheels = Path(scratch) / "wheels"
        staged = Path(scratch) / "staged"
        files = sum(unpack(wheel, staged) for wheel in download(wheels))
        version = check(staged)
        (staged / MARKER).touch()
        if bundle.exists():
            # Without the marker it is what an interrupted installation left.
            shutil.rmtree(bundle)
        staged.rename(bundle)
    print(f"LLVM {version} installed, {files} files: {bundle}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: LLVM was not installed: {error}")
