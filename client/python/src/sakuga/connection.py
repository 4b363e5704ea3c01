"""The channel to a server: its address, its limits, and what to say when the address is wrong."""

import ipaddress
import os
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import grpc

from sakuga.credentials import Authorization, Credentials
from sakuga.errors import AddressError

DEFAULT_ADDRESS: Final = "http://127.0.0.1:50051"
"""Where a server listens unless it is told otherwise."""

ADDRESS_VARIABLE: Final = "SAKUGA_SERVER"
"""The environment variable that the command line reads, too."""

_DEFAULT_PORT: Final = 50051

_OPTIONS: Final = (
    # A preview travels in one message: 2048 by 2048 pixels as PNG of noise are 12 MiB.
    ("grpc.max_receive_message_length", 32 << 20),
    # A connection that is silent is probed, and given up without an answer.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.primary_user_agent", "sakuga-python"),
    # Each client has a connection of its own: closing one does not touch another.
    ("grpc.use_local_subchannel_pool", 1),
)


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
        given = text.strip()
        if "@" in given:
            # Said first: no other message may repeat a password.
            raise AddressError("a server address holds no user and no password; leave out what stands before `@`")
        try:
            parts = urlsplit(given if "://" in given else f"http://{given}")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise AddressError(f"`{text}` is no server address: {error}; write `http://host:port`") from error
        if parts.scheme not in ("http", "https"):
            reason = f"`{parts.scheme}://` is not known; write `http://host:port` or `https://host:port`"
            raise AddressError(f"`{text}`: {reason}")
        if not host or any(character.isspace() for character in host):
            raise AddressError(f"`{text}` has no host; write `http://host:port`")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise AddressError(f"`{text}`: a path means nothing to a gRPC server; write only `http://host:port`")
        return cls(parts.scheme, f"[{host}]" if ":" in host else host, _DEFAULT_PORT if port is None else port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def is_this_machine(self) -> bool:
        """Whether what is sent there stays on this machine."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"


def open_channel(address: Address, credentials: Credentials) -> grpc.Channel:
    """A channel; it connects at the first call.

    Raises `AddressError` for a token that would travel where everybody can read it, and for keys without encryption.
    """
    target = f"{address.host}:{address.port}"
    token = credentials.token
    if address.scheme == "https":
        channel = grpc.secure_channel(target, credentials.tls(), options=_OPTIONS)
    elif credentials.has_keys:
        raise AddressError(f"certificates mean nothing to {address}; write `https://host:port`")
    elif token and not address.is_this_machine:
        raise AddressError(f"a token would travel to {address} where everybody can read it; write `https://host:port`")
    else:
        channel = grpc.insecure_channel(target, options=_OPTIONS)
    return grpc.intercept_channel(channel, Authorization(token)) if token else channel
