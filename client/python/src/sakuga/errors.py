"""The errors of this package. Those of a server are decoded from their `google.rpc` details."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, cast

import grpc
from google.protobuf import duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is wrong."""

    field: str
    """The field, such as `sampling.steps`, or a place in the prompt, such as `character_2/appearance`."""
    description: str
    """What is wrong with it."""
    reason: str
    """The rule that it breaks, such as `unknown-element`. Empty if the server does not say."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a server says of an error: a `google.rpc.Status` with its standard details decoded."""

    code: grpc.StatusCode
    """The code."""
    message: str
    """What is wrong."""
    violations: tuple[Violation, ...] = ()
    """What is wrong field by field (`BadRequest`)."""
    reason: str | None = None
    """The reason as a constant of `domain` (`ErrorInfo`), such as `QUEUE_FULL`."""
    domain: str | None = None
    """The domain that `reason` belongs to."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Further facts (`ErrorInfo`), by name."""
    retry_after: timedelta | None = None
    """How long to wait before the next try (`RetryInfo`)."""

    @classmethod
    def decode(cls, status: status_pb2.Status) -> "Status":
        """Reads the known details. Unknown and damaged ones are left out."""
        bad_request = error_details_pb2.BadRequest()
        error_info = error_details_pb2.ErrorInfo()
        retry_info = error_details_pb2.RetryInfo()
        for detail in status.details:
            for message in (bad_request, error_info, retry_info):
                if detail.Is(message.DESCRIPTOR):
                    try:
                        detail.Unpack(message)
                    except DecodeError:
                        message.Clear()
        return cls(
            code=_CODES.get(status.code, grpc.StatusCode.UNKNOWN),
            message=status.message,
            violations=tuple(
                Violation(found.field, found.description, found.reason) for found in bad_request.field_violations
            ),
            reason=error_info.reason or None,
            domain=error_info.domain or None,
            metadata=dict(error_info.metadata),
            retry_after=span(retry_info.retry_delay) if retry_info.HasField("retry_delay") else None,
        )

    def __str__(self) -> str:
        text = f"{self.message} ({self.code.name})" if self.message else self.code.name
        return "".join([text, *(f"\n  {found.field or 'prompt'}: {found.description}" for found in self.violations)])


class SakugaError(Exception):
    """Base class of the errors of this package. A file that cannot be opened is Python's own `OSError`."""


class AddressError(SakugaError, ValueError):
    """The address of the server cannot be used."""


class CredentialsError(SakugaError, ValueError):
    """A certificate, key or token cannot be used."""


class RequestError(SakugaError, ValueError):
    """An argument cannot be put into a request."""


class ConnectionLost(SakugaError, ConnectionError):
    """The server cannot be reached, or the connection broke while a call was running."""


class DeadlineExceeded(SakugaError, TimeoutError):
    """The deadline that the caller set passed."""


class ProtocolError(SakugaError):
    """The server broke its own protocol."""


class DamagedPicture(SakugaError):
    """A picture arrived, but not as the server sent it."""

    def __init__(self, image_index: int, reason: str) -> None:
        super().__init__(f"picture {image_index} is damaged: {reason}")
        self.image_index = image_index


class JobCancelled(SakugaError):
    """There is no picture because the job was cancelled."""


class ServerError(SakugaError):
    """An error of the server; `status` holds its message and details."""

    def __init__(self, status: Status) -> None:
        super().__init__(str(status))
        self.status = status

    @property
    def code(self) -> grpc.StatusCode:
        """The code."""
        return self.status.code

    @property
    def reason(self) -> str | None:
        """The reason as a constant, such as `QUEUE_FULL`."""
        return self.status.reason

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What is wrong field by field."""
        return self.status.violations

    @property
    def retry_after(self) -> timedelta | None:
        """How long to wait before the next try."""
        return self.status.retry_after


class RequestRefused(ServerError):
    """The server refused the request."""


class JobFailed(ServerError):
    """The server accepted the request and could not carry it out."""


def explain(error: grpc.RpcError, address: str) -> SakugaError:
    """The error of a failed call: one of the server, or of the connection."""
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return ConnectionLost(f"the call to {address} failed: {error}")
    code, message = error.code(), error.details() or ""
    try:
        status = rpc_status.from_call(cast(grpc.Call, error))
    except ValueError:
        # The details contradict the code: a proxy rewrote the answer.
        status = None
    if status is not None:
        return RequestRefused(Status.decode(status))
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"the deadline of the call to {address} passed")
    if code is grpc.StatusCode.UNAVAILABLE:
        return ConnectionLost(f"no connection to {address}: {message}")
    return RequestRefused(Status(code=code, message=message))


def span(duration: duration_pb2.Duration) -> timedelta:
    """A duration as Python's, to the microsecond. One beyond the range of Python becomes the end of that range."""
    try:
        return timedelta(seconds=duration.seconds, microseconds=duration.nanos / 1000)
    except OverflowError:
        return timedelta.max if duration.seconds > 0 else timedelta.min
