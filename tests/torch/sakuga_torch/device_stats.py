"""The device while it works, through NVIDIA's management library: a sample every 100 ms on its own thread."""

import threading
import time

from .record import Stats

PERIOD_S = 0.1


class Sampler:
    """Samples from `start` to `stop`. Without `pynvml` (package `nvidia-ml-py`) or without a GPU there are none."""

    def __init__(self, device):
        self.samples, self.thread, self.ended = [], None, threading.Event()
        self.nvml = self.handle = None
        # Why there are no samples, if there are none.
        self.reason = "there is no GPU"
        if device.type != "cuda":
            return
        try:
            import pynvml
            import torch

            pynvml.nvmlInit()
            # Indices of NVML and of CUDA differ under CUDA_VISIBLE_DEVICES; the name by UUID does not.
            uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
            self.handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            self.nvml = pynvml
        # The package is not there, is too old for this call, or finds no driver: figures of the device are left out.
        except Exception as error:
            self.reason = f"{type(error).__name__}: {error}"

    def start(self, begun):
        """Begins to sample; `begun` is the moment that `at_ms` counts from, of `time.perf_counter`."""
        self.samples, self.ended = [], threading.Event()
        if self.nvml is None:
            return
        self.thread = threading.Thread(target=self.sample_until_ended, args=(begun, self.samples, self.ended))
        self.thread.start()

    def stop(self):
        self.ended.set()
        if self.thread is not None:
            self.thread.join()
            self.thread = None
        return self.samples

    def sample_until_ended(self, begun, samples, ended):
        while True:
            samples.append(self.sample((time.perf_counter() - begun) * 1e3))
            if ended.wait(PERIOD_S):
                return

    def sample(self, at_ms):
        nvml, handle = self.nvml, self.handle

        def ask(read):
            # A card that does not report one value reports the others.
            try:
                return read()
            except nvml.NVMLError:
                return None

        rates = ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        memory = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        milliwatts = ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        millijoules = ask(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        return Stats(
            at_ms=at_ms,
            source="nvml",
            utilization_percent=rates and float(rates.gpu),
            memory_utilization_percent=rates and float(rates.memory),
            memory_used_bytes=memory and memory.used,
            memory_total_bytes=memory and memory.total,
            sm_clock_mhz=ask(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
            memory_clock_mhz=ask(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
            power_watts=None if milliwatts is None else milliwatts / 1e3,
            temperature_celsius=ask(lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
            energy_joules=None if millijoules is None else millijoules / 1e3,
        )
