"""Servers and connections that tests ask for by name."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import sakuga
from tests.support import ROOT, Server, StartServer, running


def pytest_configure() -> None:
    """Makes SIGTERM act as Ctrl-C, so that ending the tests early ends the servers too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers that end with the test."""
    with ExitStack() as stack:
        count = iter(range(100))
        yield lambda *flags: stack.enter_context(running(tmp_path / f"server-{next(count)}.log", *flags))


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that draws gradients, a step in two hundredths of a second."""
    log = tmp_path_factory.mktemp("scripted") / "server.log"
    with running(log, "--engine", "scripted", "--scripted-step-ms", "20") as server:
        yield server


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that draws with the model that it brings."""
    folder = tmp_path_factory.mktemp("embedded")
    with running(folder / "server.log", "--device", "cpu", "--cache-dir", str(folder / "cache")) as server:
        yield server


@pytest.fixture
def client(scripted: Server) -> Iterator[sakuga.Client]:
    """A connection to the server that draws gradients."""
    with sakuga.Client(scripted.address) as client:
        yield client


@pytest.fixture(scope="session")
def two_girls() -> str:
    """A valid prompt."""
    return (ROOT / "schema/examples/two_girls.xml").read_text("utf-8")
