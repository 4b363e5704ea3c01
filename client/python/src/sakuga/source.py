"""Where the events of a job come from."""

from collections.abc import Callable
from typing import Protocol

import grpc

from sakuga.errors import ProtocolError, explain
from sakuga.generation.v1 import event_pb2, generation_service_pb2, generation_service_pb2_grpc, request_pb2


class Source(Protocol):
    """Events of one job as they come from the wire."""

    @property
    def fetch(self) -> Callable[[int], bytes] | None:
        """Brings a finished picture of the job, where it is kept."""

    def receive(self) -> event_pb2.GenerateEvent | None:
        """The next event; `None` at the end of the stream, and after `cancel` where there is no word from the server."""

    def cancel(self) -> None:
        """Gives the job up. Events that are on their way may still come."""

    def close(self) -> None:
        """Lets the stream go."""


class GenerateCall:
    """One call of `Generate`: the job lives as long as it."""

    fetch = None

    def __init__(
        self,
        stub: generation_service_pb2_grpc.GenerationServiceStub,
        request: request_pb2.GenerateRequest,
        deadline: float | None,
        address: str,
    ) -> None:
        self._address = address
        self._cancelled = False
        self._call = stub.Generate(request, timeout=deadline)

    def receive(self) -> event_pb2.GenerateEvent | None:
        """The next event; `None` at the end, and once the call was cancelled here."""
        try:
            response: generation_service_pb2.GenerateResponse | None = next(self._call, None)
        except grpc.RpcError as error:
            if self._cancelled:
                return None
            raise explain(error, self._address) from error
        if response is None:
            return None
        if not response.HasField("event"):
            raise ProtocolError("a message holds no event")
        return response.event

    def cancel(self) -> None:
        """Drops the call, at which the server gives the job up at its next step."""
        self._cancelled = True
        self._call.cancel()

    def close(self) -> None:
        """The same: nobody else can watch this job."""
        self.cancel()
