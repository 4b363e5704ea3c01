"""Addresses may leave out scheme and port; wrong ones say what to write."""

import socket
from pathlib import Path

import pytest

from sakuga import AddressError, Client, CredentialsError
from sakuga.connection import ADDRESS_VARIABLE, DEFAULT_ADDRESS, Address
from sakuga.system.v1 import system_service_pb2


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://127.0.0.1:7", "http://127.0.0.1:7"),
        (" gpu-box:50052 ", "http://gpu-box:50052"),
        ("gpu-box", "http://gpu-box:50051"),
        ("https://gpu-box", "https://gpu-box:50051"),
        ("https://gpu-box:443/", "https://gpu-box:443"),
        ("http://[::1]", "http://[::1]:50051"),
        ("http://[::1]:8/", "http://[::1]:8"),
    ],
)
def test_addresses_are_completed(text: str, address: str) -> None:
    assert str(Address.parse(text)) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "write `http://host:port`"),
        ("ftp://gpu-box", "`ftp://` is not known"),
        ("http://gpu-box/v1", "path"),
        ("http://me:secret@gpu-box", "before `@`"),
        ("ftp://me:secret@gpu-box:70000", "before `@`"),
        ("http://gpu-box:70000", "write `http://host:port`"),
        ("http://gpu box", "host"),
    ],
)
def test_wrong_addresses_say_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(AddressError, match=reason) as refused:
        Address.parse(text)
    assert "secret" not in str(refused.value)


def test_the_environment_names_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, "gpu-box:1")
    assert [str(Address.find(None)), str(Address.find("other:2"))] == ["http://gpu-box:1", "http://other:2"]
    monkeypatch.delenv(ADDRESS_VARIABLE)
    assert str(Address.find(None)) == DEFAULT_ADDRESS


def test_a_token_is_not_sent_unencrypted() -> None:
    for address in ("http://gpu-box", "http://127.0.0.1.example", "http://localhost.example:1", "http://10.0.0.1"):
        with pytest.raises(AddressError, match="https://") as refused:
            Client(address, token="sakuga_hidden")
        assert "hidden" not in str(refused.value)
    for address in ("https://gpu-box", "http://localhost:1", "http://127.0.0.2:1", "http://[::1]:1"):
        Client(address, token="sakuga_hidden").close()


def test_a_token_of_the_environment_is_as_careful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAKUGA_TOKEN", "sakuga_hidden")
    with pytest.raises(AddressError, match="https://"):
        Client("http://gpu-box")


@pytest.mark.parametrize("token", ["", " \n", "two words", "é", "a\a"])
def test_what_cannot_be_sent_is_no_token(token: str) -> None:
    with pytest.raises(CredentialsError, match="one word"):
        Client("localhost", token=token)


def test_what_is_no_pem_is_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(CredentialsError, match=r"ca\.pem is not PEM"):
        Client("https://localhost", ca=tmp_path / "ca.pem")
    with pytest.raises(AddressError, match="certificates need TLS"):
        Client("http://localhost", ca=b"-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
@pytest.mark.parametrize("token", [None, "sakuga_hidden"])
def test_a_proxy_sees_nothing_that_is_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, variable: str, token: str | None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.create_server(("127.0.0.1", 0)) as server:
        proxy.settimeout(0.2)
        server.settimeout(20)
        for name in ("http_proxy", "https_proxy", "grpc_proxy", "no_proxy", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with Client(f"http://127.0.0.1:{server.getsockname()[1]}", token=token) as client:
            ended = client.system.GetServerInfo.future(system_service_pb2.GetServerInfoRequest(), timeout=20)
            connection, _ = server.accept()
            connection.close()
            with pytest.raises(TimeoutError):
                proxy.accept()
            ended.cancel()


def test_arguments_of_another_type_are_errors_of_this_package() -> None:
    with pytest.raises(AddressError, match="not int"):
        Client(5)  # type: ignore[arg-type]
    with pytest.raises(CredentialsError, match="one word"):
        Client("localhost", token=b"x")  # type: ignore[arg-type]
    with pytest.raises(CredentialsError, match="not int"):
        Client("https://localhost", ca=5)  # type: ignore[arg-type]
    with pytest.raises(CredentialsError, match="a pair"):
        Client("https://localhost", identity=5)  # type: ignore[arg-type]
