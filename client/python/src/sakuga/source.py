"""The sources of a job's events: one call, or a job that is watched."""

from collections.abc import Callable
from typing import Protocol

import grpc

from sakuga.errors import ProtocolError, explain
from sakuga.generation.v1 import event_pb2, generation_service_pb2, generation_service_pb2_grpc, request_pb2


class Source(Protocol):
    """Messages with the events of one job."""

    @property
    def fetch(self) -> Callable[[int], bytes] | None:
        """Fetches a finished picture of the job, if the server keeps it."""

    def receive(self) -> event_pb2.GenerateEvent | None:
        """The next event; `None` at the end of the stream, and after `cancel` without an answer of the server."""

    def cancel(self) -> None:
        """Cancels the job. Events that were already sent may still arrive."""

    def close(self) -> None:
        """Closes the stream."""


class GenerateCall:
    """One call of `Generate`. The job ends with the call."""

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
            raise ProtocolError("a message has no event")
        return response.event

    def cancel(self) -> None:
        """Ends the call. The server then cancels the job at its next step."""
        self._cancelled = True
        self._call.cancel()

    def close(self) -> None:
        """Ends the call: no other call can watch this job."""
        self.cancel()
