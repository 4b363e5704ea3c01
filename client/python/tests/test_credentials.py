"""A server with TLS that requires tokens, and client certificates."""

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
    """Creates a token with the server's command, and adds its line to the file."""
    command = [os.environ[PROGRAM], "token", "new", "--name", name, "--scope", scope]
    created = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    with tokens.open("a") as file:
        file.write(created.stderr)
    return created.stdout.strip()


class Secured:
    """A server with TLS and tokens, its CA and a token for it."""

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
def secured(start_server: StartServer, tmp_path: Path) -> Secured:
    """A server with TLS and tokens."""
    return Secured(start_server, tmp_path)


def test_a_token_is_accepted(secured: Secured, two_girls: str) -> None:
    assert secured.server.address.startswith("https://127.0.0.1:")
    with sakuga.Client(secured.server.address, ca=secured.ca, token=f" {secured.token}\n") as client:
        assert client.validate(two_girls)
        job = client.generate(two_girls, steps=3, width=64, height=64, preview="linear", deadline=LIMIT_S)
        kinds = {type(event) for event in job}
        assert {sakuga.Step, sakuga.Preview, sakuga.Completed} <= kinds
        assert job.picture.width == 64


def test_the_environment_has_the_credentials(secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_bytes(secured.ca)
    monkeypatch.setenv("SAKUGA_SERVER", secured.server.address)
    monkeypatch.setenv("SAKUGA_CA", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SAKUGA_TOKEN", secured.token)
    with sakuga.Client() as client:
        assert client.info().engine == "scripted"


@pytest.mark.parametrize("token", [None, "sakuga_" + "0" * 64])
def test_a_missing_or_wrong_token_is_refused(secured: Secured, token: str | None) -> None:
    with sakuga.Client(secured.server.address, ca=secured.ca, token=token) as client:
        for call in (client.info, lambda: client.generate("1girl"), lambda: next(client.watch_device())):
            with pytest.raises(sakuga.RequestRefused) as refused:
                call()
            assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED
            assert refused.value.reason and refused.value.status.domain == "sakuga.dev"
            assert token is None or token not in str(refused.value)


def test_a_token_of_another_scope_is_refused(secured: Secured) -> None:
    with sakuga.Client(secured.server.address, ca=secured.ca, token=secured.metrics_token) as client:
        with pytest.raises(sakuga.RequestRefused, match="generate") as refused:
            client.generate("1girl")
    assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED


def test_a_certificate_of_an_unknown_ca_is_refused(secured: Secured) -> None:
    with sakuga.Client(secured.server.address, ca=trustme.CA().cert_pem.bytes(), token=secured.token) as client:
        with pytest.raises(sakuga.ConnectionLost):
            client.info()


def test_a_connection_without_tls_is_refused(secured: Secured) -> None:
    with sakuga.Client(secured.server.address.replace("https://", "http://"), token=secured.token) as client:
        with pytest.raises(sakuga.ConnectionLost):
            client.info()


def test_a_server_may_require_a_certificate(secured: Secured, start_server: StartServer, tmp_path: Path) -> None:
    clients = trustme.CA()
    server = start_server(*secured.flags, f"--tls-client-ca={pem(tmp_path, 'clients.pem', clients.cert_pem)}")
    alice, mallory = clients.issue_cert("alice@example.org"), trustme.CA().issue_cert("alice@example.org")
    for certificate, opens in ((alice, True), (mallory, False), (None, False)):
        identity = None
        if certificate is not None:
            identity = (certificate.cert_chain_pems[0].bytes(), certificate.private_key_pem.bytes())
        with sakuga.Client(server.address, ca=secured.ca, identity=identity, token=secured.token) as client:
            if opens:
                assert client.generate("1girl", steps=1, width=64, height=64, deadline=LIMIT_S).picture
            else:
                with pytest.raises(sakuga.ConnectionLost):
                    client.info()
