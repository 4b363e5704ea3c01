"""Samples of a device."""

from dataclasses import dataclass

from sakuga.system.v1 import gpu_stats_pb2
from sakuga.wording import word


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStats:
    """One sample of a device. A value that the device does not report is `None`."""

    source: str
    """`nvml` for a GPU, `host` for figures of the host."""
    device_index: int
    """The device's index; 0 for the host."""
    name: str
    """The device's name."""
    utilization_percent: float | None
    """Busy share of the last sample period."""
    memory_utilization_percent: float | None
    """Busy share of the memory interface."""
    memory_used_bytes: int | None
    """Bytes in use."""
    memory_total_bytes: int | None
    """Bytes in all."""
    process_memory_bytes: int | None
    """Bytes that the server holds."""
    sm_clock_mhz: int | None
    """Clock of the multiprocessors."""
    memory_clock_mhz: int | None
    """Clock of the memory."""
    power_watts: float | None
    """Power."""
    temperature_celsius: float | None
    """Temperature."""
    throttle_reasons: tuple[str, ...]
    """Why the clocks are throttled. Empty if they are not, or if that is unknown."""
    energy_joules: float | None
    """Energy since the driver was loaded."""
    pcie_receive_bytes_per_second: int | None
    """What the device received over PCIe of late."""
    pcie_send_bytes_per_second: int | None
    """What the device sent over PCIe of late."""
    device: str
    """The server's name of the device, such as `cuda:0`. Empty if the server does not use it."""

    @classmethod
    def read(cls, wire: gpu_stats_pb2.GpuStats) -> "DeviceStats":
        """From the wire."""
        return cls(
            source=word(gpu_stats_pb2.StatsSource.DESCRIPTOR, wire.source),
            device_index=wire.device_index,
            name=wire.name,
            utilization_percent=wire.utilization_percent if wire.HasField("utilization_percent") else None,
            memory_utilization_percent=(
                wire.memory_utilization_percent if wire.HasField("memory_utilization_percent") else None
            ),
            memory_used_bytes=wire.memory_used_bytes if wire.HasField("memory_used_bytes") else None,
            memory_total_bytes=wire.memory_total_bytes if wire.HasField("memory_total_bytes") else None,
            process_memory_bytes=wire.process_memory_bytes if wire.HasField("process_memory_bytes") else None,
            sm_clock_mhz=wire.sm_clock_mhz if wire.HasField("sm_clock_mhz") else None,
            memory_clock_mhz=wire.memory_clock_mhz if wire.HasField("memory_clock_mhz") else None,
            power_watts=wire.power_watts if wire.HasField("power_watts") else None,
            temperature_celsius=wire.temperature_celsius if wire.HasField("temperature_celsius") else None,
            throttle_reasons=tuple(wire.throttle_reasons),
            energy_joules=wire.energy_joules if wire.HasField("energy_joules") else None,
            pcie_receive_bytes_per_second=(
                wire.pcie_receive_bytes_per_second if wire.HasField("pcie_receive_bytes_per_second") else None
            ),
            pcie_send_bytes_per_second=(
                wire.pcie_send_bytes_per_second if wire.HasField("pcie_send_bytes_per_second") else None
            ),
            device=wire.device,
        )
