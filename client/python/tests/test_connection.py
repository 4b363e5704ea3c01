"""Addresses may leave out scheme and port; wrong ones say what to write."""

import pytest

from sakuga import AddressError
from sakuga.connection import ADDRESS_VARIABLE, DEFAULT_ADDRESS, Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://127.0.0.1:7", "http://127.0.0.1:7"),
        (" gpu-box:50052 ", "http://gpu-box:50052"),
        ("gpu-box", "http://gpu-box:50051"),
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
