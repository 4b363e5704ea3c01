"""The channel to a server: its address, its options, and errors that say what is wrong with an address."""

import ipaddress
import os
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import grpc

from sakuga.credentials import Authorization, Credentials, async_authorization
from sakuga.errors import AddressError

DEFAULT_ADDRESS: Final = "http://127.0.0.1:50051"
"""Where a server listens by default."""

ADDRESS_VARIABLE: Final = "SAKUGA_SERVER"
"""The environment variable with the address, which the command line reads too."""

_DEFAULT_PORT: Final = 50051

_HOST_MAX: Final = 253
"""The longest name that DNS has."""

_OPTIONS: Final = (
    # A preview is one message: 2048 by 2048 pixels of noise as PNG are 12 MiB.
    ("grpc.max_receive_message_length", 32 << 20),
    # An idle connection is pinged, and closed without an answer.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.primary_user_agent", "sakuga-python"),
    # Each client has its own connection: closing one does not touch another.
    ("grpc.use_local_subchannel_pool", 1),
)


# A proxy cannot reach the loopback of this machine, and would read what is not encrypted.
_NO_PROXY: Final = ("grpc.enable_http_proxy", 0)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is."""

    scheme: str
    """`https` if the connection is encrypted, else `http`."""
    host: str
    """Its name or number; an IPv6 number stands in brackets."""
    port: int
    """Its port."""

    @classmethod
    def find(cls, text: str | None) -> "Address":
        """Reads what is given; else what the environment says; else where a server listens by default."""
        return cls.parse(text if text is not None else os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Reads `https://host:port`, `http://host:port`, `host:port`, or `host` for port 50051."""
        if not isinstance(text, str):
            raise AddressError(f"a server address is a text such as `http://host:port`, not {type(text).__name__}")
        given = text.strip()
        if "@" in given:
            # Checked first, so that no other message repeats a password.
            raise AddressError("a server address has no user and no password; remove everything before `@`")
        try:
            parts = urlsplit(given if "://" in given else f"http://{given}")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise AddressError(f"`{text}` is not a server address: {error}; write `http://host:port`") from error
        if parts.scheme not in ("http", "https"):
            reason = f"`{parts.scheme}://` is not known; write `http://host:port` or `https://host:port`"
            raise AddressError(f"`{text}`: {reason}")
        if (
            not host
            or len(host) > _HOST_MAX
            or any(not character.isprintable() or character == " " for character in host)
        ):
            raise AddressError(f"{text[:100]!r} has no host that a name can be; write `http://host:port`")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise AddressError(f"`{text}`: a path means nothing to a gRPC server; write only `http://host:port`")
        return cls(parts.scheme, f"[{host}]" if ":" in host else host, _DEFAULT_PORT if port is None else port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def is_this_machine(self) -> bool:
        """Whether it is a loopback address, so that nothing sent there leaves this machine."""
        try:
            number = ipaddress.ip_address(self.host.strip("[]"))
        except ValueError:
            return self.host == "localhost"
        mapped = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else None
        return (mapped or number).is_loopback


def open_channel(address: Address, credentials: Credentials) -> grpc.Channel:
    """A channel; it connects at the first call. Raises as `_check` does."""
    target, options = _check(address, credentials)
    if address.scheme == "https":
        channel = grpc.secure_channel(target, credentials.tls(), options=options)
    else:
        channel = grpc.insecure_channel(target, options=options)
    return grpc.intercept_channel(channel, Authorization(credentials.token)) if credentials.token else channel


def open_async_channel(address: Address, credentials: Credentials) -> grpc.aio.Channel:
    """A channel for asyncio; it connects at the first call. Raises as `_check` does."""
    target, options = _check(address, credentials)
    interceptors = async_authorization(credentials.token) if credentials.token else ()
    if address.scheme == "https":
        return grpc.aio.secure_channel(target, credentials.tls(), options=options, interceptors=interceptors)
    return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)


def _check(address: Address, credentials: Credentials) -> tuple[str, tuple[tuple[str, int | str], ...]]:
    """The target and the options of a channel.

    An unencrypted connection with a token goes to the loopback only, and never through a proxy. Raises `AddressError` for
    a token to another machine without TLS, and for certificates without TLS.
    """
    if address.scheme != "https" and credentials.has_keys:
        raise AddressError(f"certificates need TLS; write `https://host:port` instead of {address}")
    if address.scheme != "https" and credentials.token and not address.is_this_machine:
        raise AddressError(f"a token is not sent unencrypted to {address}; write `https://host:port`")
    options = (*_OPTIONS, _NO_PROXY) if address.is_this_machine else _OPTIONS
    return f"{address.host}:{address.port}", options
