"""The channel to a server: its address, its limits, and what to say when the address is wrong."""

import os
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import grpc

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
        """Reads `http://host:port`, `host:port`, or `host` for port 50051."""
        given = text.strip()
        if "@" in given:
            # Said first: no other message may repeat a password.
            raise AddressError("a server address holds no user and no password; leave out what stands before `@`")
        try:
            parts = urlsplit(given if "://" in given else f"http://{given}")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise AddressError(f"`{text}` is no server address: {error}; write `http://host:port`") from error
        if parts.scheme != "http":
            raise AddressError(f"`{text}`: `{parts.scheme}://` is not known; write `http://host:port`")
        if not host or any(character.isspace() for character in host):
            raise AddressError(f"`{text}` has no host; write `http://host:port`")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise AddressError(f"`{text}`: a path means nothing to a gRPC server; write only `http://host:port`")
        return cls(f"[{host}]" if ":" in host else host, _DEFAULT_PORT if port is None else port)

    def __str__(self) -> str:
        return f"http://{self.host}:{self.port}"


def open_channel(address: Address) -> grpc.Channel:
    """A channel; it connects at the first call."""
    return grpc.insecure_channel(f"{address.host}:{address.port}", options=_OPTIONS)
