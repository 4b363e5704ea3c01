"""Servers for the tests: processes of the program in `SAKUGA_SERVER_BIN`."""

import os
import signal
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
"""The repository."""

PROGRAM = "SAKUGA_SERVER_BIN"
READY = "listening on "
LIMIT_S = 180
"""Longer than a server takes to start or stop, or to answer a call."""


class Server:
    """A running server."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process = process
        self.address = address

    def kill(self) -> None:
        """Kills it, as a power failure would."""
        self.process.kill()
        self.process.wait(LIMIT_S)


StartServer = Callable[..., Server]


@contextmanager
def running(log: Path, *flags: str) -> Iterator[Server]:
    """A server with these flags on a free port of the loopback interface."""
    program = os.environ.get(PROGRAM)
    if not program:
        pytest.fail(f"set {PROGRAM} to the server program, such as target/debug/sakuga-server", pytrace=False)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SAKUGA_")}
    with log.open("w") as messages:
        process = subprocess.Popen(
            [program, "--listen", "127.0.0.1:0", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            env=environment,
        )
    assert process.stdout is not None
    # A server that never says where it listens is ended, and the loop with it.
    overdue = threading.Timer(LIMIT_S, process.kill)
    overdue.start()
    try:
        address = next((line.removeprefix(READY).strip() for line in process.stdout if line.startswith(READY)), None)
        overdue.cancel()
        assert address, f"the server did not start:\n{log.read_text()}"
        yield Server(process, address)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT_S) == 0, log.read_text()
    finally:
        overdue.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height in the header of a PNG file."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    return width, height
