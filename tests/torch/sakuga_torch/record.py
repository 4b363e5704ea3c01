"""The record of a run as `sakuga bench` writes and reads it (client/bench/src/record.rs). Needs nothing but Python.

What was not measured stays `None` or empty and is not written.
"""

import json
import os
from dataclasses import asdict, dataclass, field

FORMAT = "sakuga-bench/1"


@dataclass
class Step:
    index: int
    ms: float
    at_ms: float
    guided: bool


@dataclass
class Stage:
    name: str
    at_ms: float


@dataclass
class Timings:
    text_encode_ms: float = 0.0
    denoise_ms: float = 0.0
    decode_ms: float = 0.0
    total_ms: float = 0.0


@dataclass
class Stats:
    """One sample of the device."""

    at_ms: float
    source: str
    utilization_percent: float | None = None
    memory_utilization_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None
    energy_joules: float | None = None


@dataclass
class Job:
    """One picture; `at_ms` of its parts count from its own begin."""

    begun_ms: float
    seed: int
    steps: list[Step] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    timings: Timings = field(default_factory=Timings)
    stats: list[Stats] = field(default_factory=list)
    pixels_sha256: list[str] = field(default_factory=list)


@dataclass
class Case:
    name: str
    title: str
    prompt: str
    warmup: list[Job] = field(default_factory=list)
    repeats: list[Job] = field(default_factory=list)


@dataclass
class Loading:
    name: str
    begin_ms: float
    duration_ms: float
    bytes: int = 0


@dataclass
class Text:
    """`kind` is `cold`, `prefix` or `cached`."""

    kind: str
    ms: float


@dataclass
class Protocol:
    width_px: int
    height_px: int
    steps: int
    solver: str
    guidance_scale: float
    guidance_until: float
    shift: float
    repeats: int
    warmup: int
    seed: int


@dataclass
class System:
    engine: str
    version: str
    device: str
    precision: str
    model: str
    notice: str = ""
    parameters: dict[str, int] = field(default_factory=dict)


@dataclass
class Record:
    program: str
    command: str
    begun_unix_ms: int
    protocol: Protocol
    system: System
    cases: list[Case]
    loading: list[Loading] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    format: str = FORMAT


def to_json(record):
    return json.dumps(without_none(asdict(record)), allow_nan=False)


def without_none(value):
    """Without what is `None`, at any depth."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value


def write(record, path):
    """Writes the file whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(to_json(record) + "\n", encoding="utf-8")
    os.replace(temporary, path)
