"""The package agrees with the protos: generated modules byte for byte, and the classes above them field by field."""

import dataclasses
import enum
import re
import tomllib
from pathlib import Path

import pytest
from google.protobuf.descriptor import EnumDescriptor

import generate
import sakuga
from sakuga import wire
from sakuga.generation.v1 import event_pb2, request_pb2
from sakuga.images import ImageOptions
from sakuga.prompt.v1 import diagnostic_pb2
from sakuga.system.v1 import gpu_stats_pb2
from sakuga.wording import number, word
from tests.support import ROOT


def test_generated_modules_are_current(tmp_path: Path) -> None:
    modules = generate.generate(tmp_path)
    assert generate.generated() == modules, "run `cargo xtask python`"
    for module in modules:
        expected = (tmp_path / module).read_bytes()
        assert (generate.PACKAGE / module).read_bytes() == expected, f"{module}: run `cargo xtask python`"


def test_generated_modules_are_small() -> None:
    assert sum((generate.PACKAGE / module).stat().st_size for module in generate.generated()) < 600_000


@pytest.mark.parametrize(
    ("ours", "wires"),
    [
        (sakuga.Stage, event_pb2.Stage.DESCRIPTOR),
        (sakuga.CancelReason, event_pb2.CancelReason.DESCRIPTOR),
        (sakuga.Severity, diagnostic_pb2.Severity.DESCRIPTOR),
    ],
)
def test_enumerations_have_the_values_of_the_wire(ours: type[enum.Enum], wires: EnumDescriptor) -> None:
    words = {value.number: word(wires, value.number).upper() for value in wires.values}
    assert {value.value: value.name for value in ours} == words
    assert ours(99) is ours(0)


def test_every_kind_of_event_is_known() -> None:
    kinds = [field.name for field in event_pb2.GenerateEvent.DESCRIPTOR.oneofs_by_name["event"].fields]
    # The job itself reads these three.
    for kind in set(kinds) - {"image_chunk", "completed", "failed"}:
        message = event_pb2.GenerateEvent()
        getattr(message, kind).SetInParent()
        assert not isinstance(wire.plain(message, wire.header(message, 0)), sakuga.Unknown), kind


def test_options_are_the_fields_of_a_request() -> None:
    fields = {field.name for field in request_pb2.GenerateRequest.DESCRIPTOR.fields}
    fields -= {"xml", "typed", "negative_text", "negative_prompt", "strictness", "sampling", "preview"}
    # Images have options of their own, for each field of their messages.
    fields -= {"init", "mask", "second_pass"}
    fields |= ImageOptions.__annotations__.keys()
    fields |= {"negative", "strict", "preview"}
    fields |= {field.name for field in request_pb2.Sampling.DESCRIPTOR.fields}
    fields |= {
        f"preview_{field.name}" for field in request_pb2.PreviewOptions.DESCRIPTOR.fields if field.name != "method"
    }
    assert sakuga.Options.__annotations__.keys() == fields


def test_samples_have_the_fields_of_the_wire() -> None:
    ours = {field.name for field in dataclasses.fields(sakuga.DeviceStats)}
    assert ours == {field.name for field in gpu_stats_pb2.GpuStats.DESCRIPTOR.fields} - {"time"}
    assert sakuga.DeviceStats.read(gpu_stats_pb2.GpuStats()).power_watts is None
    assert sakuga.DeviceStats.read(gpu_stats_pb2.GpuStats(power_watts=0)).power_watts == 0


def test_words_and_numbers_are_inverse() -> None:
    for enumeration in (request_pb2.Solver.DESCRIPTOR, request_pb2.PreviewMethod.DESCRIPTOR):
        for value in enumeration.values[1:]:
            assert number(enumeration, word(enumeration, value.number)) == value.number
    assert word(request_pb2.Solver.DESCRIPTOR, 99) == "unknown"
    assert number(request_pb2.Solver.DESCRIPTOR, None) == 0


def test_the_version_is_that_of_the_workspace() -> None:
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))["workspace"]["package"]["version"]
    package = tomllib.loads((generate.HERE / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert package == workspace


def test_generated_modules_check_no_version() -> None:
    for module in generate.generated():
        text = (generate.PACKAGE / module).read_text("utf-8")
        assert "ValidateProtobufRuntimeVersion" not in text and "_version_not_supported" not in text, module


def test_the_lower_bounds_are_what_is_tested() -> None:
    project = tomllib.loads((generate.HERE / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = re.findall(r"^([a-z-]+)==([0-9.]+)", (generate.HERE / "oldest.in").read_text("utf-8"), re.MULTILINE)
    tested = {(name, tuple(map(int, version.split(".")))[:2]) for name, version in oldest}
    for dependency in project["dependencies"]:
        bound = re.match(r"([a-z-]+)>=([0-9]+)\.([0-9]+)", dependency)
        assert bound and (bound[1], (int(bound[2]), int(bound[3]))) in tested, dependency
