"""Draws a picture without generated code: the server describes itself by reflection, as it does for grpcurl.

    python reflection.py localhost:50051 prompt.xml girl.png

It lists the services by reflection, builds the messages from their descriptors, checks the prompt and draws it. It needs
`grpcio` and `grpcio-reflection` only, not the package `sakuga`.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class ReflectionV1(grpc.StreamStreamClientInterceptor):
    """Version 1 of the reflection protocol: v1alpha, which grpcio-reflection has, under its final name."""

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Replaces the name in the call."""
        method = client_call_details.method.replace("grpc.reflection.v1alpha.", "grpc.reflection.v1.")
        return continuation(client_call_details._replace(method=method), request_iterator)


class GenericClient:
    """Calls any method of a server that reflects, with messages as JSON objects."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(grpc.intercept_channel(channel, ReflectionV1()))
        # A separate pool, so that no descriptor compiled into this process is used.
        self._pool = DescriptorPool(self._database)

    def services(self) -> list[str]:
        """Full names of the services."""
        return sorted(self._database.get_services())

    def methods(self, service: str) -> list[MethodDescriptor]:
        """The methods of a service."""
        return list(self._pool.FindServiceByName(service).methods)

    def call(self, method: str, request: dict[str, Any]) -> Message:
        """Calls `package.Service/Method` and returns its one answer."""
        descriptor = self._method(method)
        call = self._channel.unary_unary(f"/{method}", _encode, GetMessageClass(descriptor.output_type).FromString)
        return call(self._message(descriptor, request), timeout=60)

    def stream(self, method: str, request: dict[str, Any]) -> Iterator[Message]:
        """Calls `package.Service/Method` and yields its answers."""
        descriptor = self._method(method)
        call = self._channel.unary_stream(f"/{method}", _encode, GetMessageClass(descriptor.output_type).FromString)
        yield from call(self._message(descriptor, request), timeout=600)

    def _method(self, name: str) -> MethodDescriptor:
        service, _, method = name.partition("/")
        return self._pool.FindServiceByName(service).methods_by_name[method]

    def _message(self, method: MethodDescriptor, request: dict[str, Any]) -> Message:
        return json_format.ParseDict(request, GetMessageClass(method.input_type)(), descriptor_pool=self._pool)


def draw(client: GenericClient, prompt: str) -> bytes:
    """Checks the prompt, draws it, and returns the PNG file."""
    report: Any = client.call("sakuga.prompt.v1.PromptService/ValidatePrompt", {"xml": prompt})
    for finding in report.diagnostics:
        print(f"{finding.line}:{finding.column}: {finding.message}")
    if not report.valid:
        sys.exit("the prompt is not valid")
    request = {"xml": prompt, "seed": 7, "sampling": {"steps": 4}, "preview": {"method": "PREVIEW_METHOD_LINEAR"}}
    picture = b""
    response: Any
    for response in client.stream("sakuga.generation.v1.GenerationService/Generate", request):
        event = response.event
        match event.WhichOneof("event"):
            case "step":
                print(f"step {event.step.index} of {event.step.total}")
            case "preview":
                print(f"preview of {event.preview.width} x {event.preview.height}")
            case "image_chunk":
                picture += event.image_chunk.data
            case "completed":
                if hashlib.sha256(picture).hexdigest() != event.completed.images[0].sha256:
                    sys.exit("the picture is damaged")
                return picture
            case "failed":
                sys.exit(f"the job failed: {event.failed.message}")
    sys.exit("the stream ended without a picture")


def main() -> None:
    """Lists what the server offers, and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", help="host:port")
    parser.add_argument("prompt", type=Path, help="a file with the prompt")
    parser.add_argument("out", type=Path, help="where the PNG goes")
    arguments = parser.parse_args()
    with grpc.insecure_channel(arguments.server) as channel:
        client = GenericClient(channel)
        for service in client.services():
            print(service)
            for method in client.methods(service):
                print(f"  {method.name}({method.input_type.name}) -> {method.output_type.name}")
        arguments.out.write_bytes(draw(client, arguments.prompt.read_text("utf-8")))


def _encode(message: Message) -> bytes:
    return message.SerializeToString()


if __name__ == "__main__":
    main()
