"""The token and the certificate of a client, and the CAs that it trusts."""

import os
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import grpc

from sakuga.errors import CredentialsError, RequestError
from sakuga.files import open_regular

TOKEN_VARIABLE: Final = "SAKUGA_TOKEN"
CA_VARIABLE: Final = "SAKUGA_CA"

_FILE_BYTES_MAX: Final = 1 << 20
"""The largest file that is read as certificates or a key."""

Pem: TypeAlias = bytes | str | os.PathLike[str]
"""A text in PEM, as bytes, or the path of a file that holds it."""


class Credentials:
    """Credentials, read and checked. No message and no representation shows a secret."""

    def __init__(self, ca: Pem | None, identity: tuple[Pem, Pem] | None, token: str | None) -> None:
        self._ca = None if ca is None else _read(ca)
        self._identity = None if identity is None else _read_identity(identity)
        self.token = None if token is None else _check(token)

    @property
    def has_keys(self) -> bool:
        """Whether they require TLS."""
        return self._ca is not None or self._identity is not None

    def tls(self) -> grpc.ChannelCredentials:
        """The channel credentials. Without a CA those that gRPC trusts are used."""
        certificate, key = self._identity or (None, None)
        return grpc.ssl_channel_credentials(self._ca, key, certificate)


class Authorization(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Adds the token to every call.

    gRPC refuses its own call credentials on a connection without TLS, even to the loopback.
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


class _AsyncAuthorization:
    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    async def _continue(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), self._header)
        return await continuation(details._replace(metadata=metadata), request)


class _AsyncUnaryAuthorization(_AsyncAuthorization, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return await self._continue(continuation, client_call_details, request)


class _AsyncStreamAuthorization(_AsyncAuthorization, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return await self._continue(continuation, client_call_details, request)


def async_authorization(token: str) -> tuple[grpc.aio.ClientInterceptor, ...]:
    """Adds the token to every call of asyncio. gRPC gives each interceptor the calls of one kind only."""
    return _AsyncUnaryAuthorization(token), _AsyncStreamAuthorization(token)


def _read_identity(identity: tuple[Pem, Pem]) -> tuple[bytes, bytes]:
    try:
        certificate, key = identity
    except (TypeError, ValueError):
        raise CredentialsError("`identity` is a pair: the certificate and its private key") from None
    return _read(certificate), _read(key)


def _read(pem: Pem) -> bytes:
    if not isinstance(pem, bytes | str | os.PathLike):
        raise CredentialsError(f"a certificate or key is bytes in PEM or a path, not {type(pem).__name__}")
    content = pem if isinstance(pem, bytes) else _read_file(pem)
    if b"-----BEGIN " not in content:
        name = "the text" if isinstance(pem, bytes) else pem
        raise CredentialsError(f"{name} is not PEM: it has no line `-----BEGIN`")
    return content


def _read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file. One that cannot be opened is Python's own `OSError`."""
    try:
        with open_regular(path) as file:
            content = file.read(_FILE_BYTES_MAX + 1)
    except RequestError as error:
        raise CredentialsError(str(error)) from error
    except ValueError as error:
        raise CredentialsError(f"{path!r} cannot be the name of a file: {error}") from error
    if len(content) > _FILE_BYTES_MAX:
        raise CredentialsError(f"{path} has more than {_FILE_BYTES_MAX >> 20} MiB, so it is not a certificate or key")
    return content


def _check(token: str) -> str:
    word = token.strip() if isinstance(token, str) else ""
    if not word or not all("!" <= character <= "~" for character in word):
        raise CredentialsError("a token is one word of visible ASCII characters")
    return word
