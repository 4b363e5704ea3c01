"""Errors arrive with their fields: what is wrong where, why as a constant, and when to come again."""

from datetime import timedelta

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

import sakuga
from tests.support import LIMIT_S, StartServer


def test_every_wrong_field_is_named(client: sakuga.Client) -> None:
    with pytest.raises(sakuga.RequestRefused) as refused:
        client.generate("<character_1><gender>robot</gender></character_1>", steps=999, width=17)
    status = refused.value.status
    assert (status.code, status.reason, status.domain) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "sakuga.dev",
    )
    assert [violation.field for violation in status.violations] == ["character_1/gender", "width", "sampling.steps"]
    assert all(violation.description and violation.reason for violation in status.violations)
    assert "use 16 or 32" in status.violations[1].description
    assert status.metadata["violations"] == "3" and status.retry_after is None
    for violation in status.violations:
        assert f"{violation.field}: {violation.description}" in str(refused.value)


def test_an_unknown_model_is_refused_with_the_known_ones(client: sakuga.Client) -> None:
    with pytest.raises(sakuga.RequestRefused) as refused:
        client.generate("1girl", model="nobody/nothing")
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    known = [model.name for model in client.models()]
    assert refused.value.status.metadata["models"].split(",") == known


def test_a_full_queue_says_when_to_come_again(start_server: StartServer) -> None:
    server = start_server("--engine", "scripted", "--scripted-step-ms", "20", "--queue-size", "1")
    with sakuga.Client(server.address) as client:
        with client.generate("1girl", steps=200, deadline=LIMIT_S) as running:
            next(event for event in running if isinstance(event, sakuga.Step))
            with client.generate("1girl", steps=200, deadline=LIMIT_S):
                with pytest.raises(sakuga.RequestRefused) as refused:
                    client.generate("1girl")
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert refused.value.retry_after is not None and refused.value.retry_after > timedelta()


def test_a_port_without_a_server_is_a_lost_connection() -> None:
    # The discard port needs privileges that no server here has.
    with sakuga.Client("127.0.0.1:9") as client, pytest.raises(sakuga.ConnectionLost, match="http://127.0.0.1:9"):
        client.info()


def test_arguments_that_no_request_can_hold_are_refused_here(client: sakuga.Client) -> None:
    with pytest.raises(sakuga.RequestError, match="`width` cannot be -1"):
        client.generate("1girl", width=-1)
    with pytest.raises(sakuga.RequestError, match="`euler`, `midpoint`, `rk4`, `dpm`"):
        client.generate("1girl", solver="heun")  # type: ignore[arg-type]
    with pytest.raises(sakuga.RequestError, match="no option `stepz`"):
        client.generate("1girl", stepz=3)  # type: ignore[call-arg]


def packed(*messages: error_details_pb2.BadRequest) -> status_pb2.Status:
    """A status with these details."""
    status = status_pb2.Status(code=13, message="broken")
    for message in messages:
        status.details.add().Pack(message)
    return status


def test_details_that_are_unknown_or_damaged_are_left_out() -> None:
    damaged = Any(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff")
    unknown = Any(type_url="type.googleapis.com/google.rpc.Nothing", value=b"\xff")
    status = packed(error_details_pb2.RetryInfo())
    status.details.extend([damaged, unknown])
    decoded = sakuga.Status.decode(status)
    assert (decoded.code, decoded.message, decoded.violations) == (grpc.StatusCode.INTERNAL, "broken", ())
    assert decoded.reason is None and decoded.retry_after is None
    assert str(decoded) == "broken (INTERNAL)"
    assert sakuga.Status.decode(status_pb2.Status(code=99)).code is grpc.StatusCode.UNKNOWN
