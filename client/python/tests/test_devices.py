"""Several devices in one server: listed, taken out of service and put back."""

import pytest

import sakuga
from sakuga.system.v1 import activity_pb2
from tests.support import LIMIT_S, StartServer

TWO = ("--engine", "scripted", "--scripted-step-ms", "0", "--device", "cpu,cpu")


def test_a_device_is_taken_out_of_service_and_put_back(start_server: StartServer, two_girls: str) -> None:
    server = start_server(*TWO)
    with sakuga.Client(server.address) as client:
        assert [device.name for device in client.list_devices()] == ["cpu:0", "cpu:1"]
        assert client.drain_device("cpu:0").state == activity_pb2.DEVICE_STATE_DRAINED
        picture = client.generate(two_girls, steps=1, width=64, height=64, deadline=LIMIT_S).picture
        assert picture.metadata.device.startswith("cpu:1 ")
        disabled = client.disable_device("cpu:0")
        assert (disabled.state, list(disabled.models)) == (activity_pb2.DEVICE_STATE_DISABLED, [])
        enabled = client.enable_device("cpu:0")
        assert (enabled.state, list(enabled.models)) == (activity_pb2.DEVICE_STATE_SERVING, ["scripted"])
        with pytest.raises(sakuga.RequestRefused, match="cpu:0, cpu:1") as refused:
            client.drain_device("cuda:0")
        assert refused.value.reason == "DEVICE_NOT_FOUND"
