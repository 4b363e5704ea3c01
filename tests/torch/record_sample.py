"""Writes testdata/run.json: a record with every field that `bench.py` can fill, for the test that Rust reads what Python
writes. Its values are made up, and it says so. Needs no PyTorch.

    python record_sample.py
"""

from pathlib import Path

from sakuga_torch.record import (
    Case,
    Job,
    Loading,
    Protocol,
    Record,
    Stage,
    Stats,
    Step,
    System,
    Text,
    Timings,
    write,
)

SAMPLE = Path(__file__).parent / "testdata" / "run.json"


def record():
    stats = Stats(
        at_ms=12.0,
        source="nvml",
        utilization_percent=99.0,
        memory_utilization_percent=50.0,
        memory_used_bytes=3 * 2**20,
        memory_total_bytes=2**30,
        sm_clock_mhz=1900,
        memory_clock_mhz=2600,
        power_watts=500.0,
        temperature_celsius=60.0,
        energy_joules=7.5,
    )
    job = Job(
        begun_ms=100.0,
        seed=7,
        steps=[Step(1, 10.0, 15.0, True), Step(2, 11.0, 26.0, False)],
        stages=[Stage("text_encode", 0.0), Stage("denoise", 5.0), Stage("decode", 26.0)],
        timings=Timings(5.0, 21.0, 4.0, 30.0),
        stats=[stats, Stats(20.0, "nvml")],
        pixels_sha256=["00"],
    )
    return Record(
        program="tests/torch/record_sample.py",
        command="python record_sample.py",
        begun_unix_ms=1_700_000_000_000,
        protocol=Protocol(64, 32, 2, "euler", 5.0, 1.0, 6.0, 1, 1, 7),
        system=System(
            "PyTorch eager", "0", "none", "f32", "none", "made-up values, to test the format", {"next_dit": 3}
        ),
        cases=[Case("two-xml", "two characters, XML", "1girl", [job], [job])],
        loading=[Loading("next_dit", 1.0, 2.0, 3)],
        texts=[Text("cold", 3.0), Text("prefix", 2.0), Text("cached", 1.0)],
    )


if __name__ == "__main__":
    write(record(), SAMPLE)
