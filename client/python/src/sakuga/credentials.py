"""What a client shows at a server's door, a token and a certificate, and whom it trusts."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import grpc

from sakuga.errors import CredentialsError

TOKEN_VARIABLE: Final = "SAKUGA_TOKEN"
CA_VARIABLE: Final = "SAKUGA_CA"

Pem: TypeAlias = bytes | str | os.PathLike[str]
"""A text in PEM, as bytes, or the path of a file that holds it."""


class Credentials:
    """Checked and read. Nothing secret is ever shown."""

    def __init__(self, ca: Pem | None, identity: tuple[Pem, Pem] | None, token: str | None) -> None:
        self._ca = None if ca is None else _read(ca)
        self._identity = None if identity is None else (_read(identity[0]), _read(identity[1]))
        self.token = None if token is None else _check(token)

    @property
    def has_keys(self) -> bool:
        """Whether they ask for an encrypted connection."""
        return self._ca is not None or self._identity is not None

    def tls(self) -> grpc.ChannelCredentials:
        """For an encrypted connection. Without a CA those count that gRPC trusts."""
        certificate, key = self._identity or (None, None)
        return grpc.ssl_channel_credentials(self._ca, key, certificate)


class Authorization(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Puts the token on every call.

    gRPC's own credentials for calls are refused on a connection that is not encrypted, also within one machine.
    """

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """A call with one answer."""
        return continuation(self._with_token(client_call_details), request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """A call with a stream of answers."""
        return continuation(self._with_token(client_call_details), request)

    def _with_token(self, details: Any) -> Any:
        return details._replace(metadata=[*(details.metadata or ()), self._header])


def _read(pem: Pem) -> bytes:
    content = pem if isinstance(pem, bytes) else Path(pem).read_bytes()
    if b"-----BEGIN " not in content:
        raise CredentialsError(
            f"{'the text' if isinstance(pem, bytes) else pem} is no PEM: it has no line `-----BEGIN`"
        )
    return content


def _check(token: str) -> str:
    word = token.strip()
    if not word or not all("!" <= character <= "~" for character in word):
        raise CredentialsError("a token is one word of visible ASCII characters")
    return word
