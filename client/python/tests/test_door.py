"""A server behind TLS that asks for tokens, and for certificates."""

import os
import subprocess
from pathlib import Path

import grpc
import pytest
import trustme

import sakuga
from tests.support import LIMIT_S, PROGRAM, Server, StartServer


def pem(folder: Path, name: str, content: trustme.Blob) -> str:
    """Writes a certificate or key and returns where it is."""
    path = folder / name
    content.write_to_path(path)
    return str(path)


def new_token(tokens: Path, name: str, scope: str) -> str:
    """Lets the server's own command make a token, and adds its line to the file."""
    command = [os.environ[PROGRAM], "token", "new", "--name", name, "--scope", scope]
    said = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout.splitlines()
    with tokens.open("a") as file:
        file.write(said[-1] + "\n")
    (token,) = [line for line in said if line.startswith("sakuga_")]
    return token


class Door:
    """A server that is encrypted and asks for a token, and what opens it."""

    def __init__(self, start: StartServer, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca = self.authority.cert_pem.bytes()
        certificate = self.authority.issue_cert("localhost", "127.0.0.1")
        tokens = folder / "tokens"
        self.token = new_token(tokens, "alice", "generate")
        self.metrics_token = new_token(tokens, "grafana", "metrics")
        self.flags = [
            "--engine=scripted",
            "--scripted-step-ms=1",
            f"--tls-cert={pem(folder, 'cert.pem', certificate.cert_chain_pems[0])}",
            f"--tls-key={pem(folder, 'key.pem', certificate.private_key_pem)}",
            f"--tokens={tokens}",
        ]
        self.server: Server = start(*self.flags)


@pytest.fixture
def door(start_server: StartServer, tmp_path: Path) -> Door:
    """A locked server."""
    return Door(start_server, tmp_path)


def test_a_token_opens_the_door(door: Door, two_girls: str) -> None:
    assert door.server.address.startswith("https://127.0.0.1:")
    with sakuga.Client(door.server.address, ca=door.ca, token=f" {door.token}\n") as client:
        assert client.validate(two_girls)
        job = client.generate(two_girls, steps=3, width=64, height=64, preview="linear", deadline=LIMIT_S)
        kinds = {type(event) for event in job}
        assert {sakuga.Step, sakuga.Preview, sakuga.Completed} <= kinds
        assert job.picture.width == 64


def test_the_environment_opens_the_door(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_bytes(door.ca)
    monkeypatch.setenv("SAKUGA_SERVER", door.server.address)
    monkeypatch.setenv("SAKUGA_CA", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SAKUGA_TOKEN", door.token)
    with sakuga.Client() as client:
        assert client.info().engine == "scripted"


@pytest.mark.parametrize("token", [None, "sakuga_" + "0" * 64])
def test_without_a_good_token_nothing_is_drawn(door: Door, token: str | None) -> None:
    with sakuga.Client(door.server.address, ca=door.ca, token=token) as client:
        for call in (client.info, lambda: client.generate("1girl"), lambda: next(client.watch_device())):
            with pytest.raises(sakuga.RequestRefused) as refused:
                call()
            assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED
            assert refused.value.reason and refused.value.status.domain == "sakuga.dev"
            assert token is None or token not in str(refused.value)


def test_a_token_for_something_else_is_not_enough(door: Door) -> None:
    with sakuga.Client(door.server.address, ca=door.ca, token=door.metrics_token) as client:
        with pytest.raises(sakuga.RequestRefused, match="generate") as refused:
            client.generate("1girl")
    assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED


def test_a_server_that_a_stranger_vouches_for_is_not_spoken_to(door: Door) -> None:
    with sakuga.Client(door.server.address, ca=trustme.CA().cert_pem.bytes(), token=door.token) as client:
        with pytest.raises(sakuga.ConnectionLost):
            client.info()


def test_a_connection_that_is_not_encrypted_is_not_served(door: Door) -> None:
    with sakuga.Client(door.server.address.replace("https://", "http://"), token=door.token) as client:
        with pytest.raises(sakuga.ConnectionLost):
            client.info()


def test_a_server_may_ask_for_a_certificate(door: Door, start_server: StartServer, tmp_path: Path) -> None:
    clients = trustme.CA()
    server = start_server(*door.flags, f"--tls-client-ca={pem(tmp_path, 'clients.pem', clients.cert_pem)}")
    alice, mallory = clients.issue_cert("alice@example.org"), trustme.CA().issue_cert("alice@example.org")
    for certificate, opens in ((alice, True), (mallory, False), (None, False)):
        identity = None
        if certificate is not None:
            identity = (certificate.cert_chain_pems[0].bytes(), certificate.private_key_pem.bytes())
        with sakuga.Client(server.address, ca=door.ca, identity=identity, token=door.token) as client:
            if opens:
                assert client.generate("1girl", steps=1, width=64, height=64, deadline=LIMIT_S).picture
            else:
                with pytest.raises(sakuga.ConnectionLost):
                    client.info()
