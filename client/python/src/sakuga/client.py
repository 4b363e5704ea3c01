"""The connection to a server, and a method for each of its calls."""

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc

from sakuga.asset.v1 import asset_service_pb2, asset_service_pb2_grpc
from sakuga.assets import Download, Upload
from sakuga.calls import PlacementName, PriorityName, creation, estimation, labelling, settings, strictness, validation
from sakuga.connection import open_channel
from sakuga.credentials import Pem
from sakuga.device import DeviceStats
from sakuga.errors import RequestError, explain
from sakuga.files import FileLike
from sakuga.generation.v1 import (
    generation_service_pb2,
    generation_service_pb2_grpc,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    request_pb2,
)
from sakuga.job import Job
from sakuga.model.v1 import model_service_pb2, model_service_pb2_grpc
from sakuga.prompt.v1 import prompt_pb2, prompt_service_pb2, prompt_service_pb2_grpc
from sakuga.prompts import Parsed, Report
from sakuga.request import Options, PromptLike, build, fill, seconds
from sakuga.source import GenerateCall
from sakuga.system.v1 import activity_pb2, system_service_pb2, system_service_pb2_grpc
from sakuga.watch import EMPTY_PAGES_MAX, Retry, WatchCall, fetch

_Answer = TypeVar("_Answer")


class Client:
    """A connection to a server. It may be shared between threads.

    The generated stubs `prompts`, `generations`, `jobs`, `asset_service`, `model_service` and `system` are for calls without
    a method.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        ca: Pem | None = None,
        identity: tuple[Pem, Pem] | None = None,
        token: str | None = None,
    ) -> None:
        """Takes `https://host:port`, `http://host:port`, `host:port`, or `host` for port 50051; without one the
        environment's `SAKUGA_SERVER`, or else a server on this machine. It connects at the first call.

        With `https://` the server's certificate must be signed by a CA of `ca`, or of `SAKUGA_CA`, or else by one that
        gRPC trusts. `identity` is a certificate and its private key for a server that requires them. `token`, or
        `SAKUGA_TOKEN`, is added to every call. It is sent over TLS, or to the loopback without a proxy, and never in clear.
        """
        parsed, credentials = settings(address, ca, identity, token)
        self.address: str = str(parsed)
        """The server's address."""
        self._channel = open_channel(parsed, credentials)
        self.prompts = prompt_service_pb2_grpc.PromptServiceStub(self._channel)
        """`sakuga.prompt.v1.PromptService`, as generated."""
        self.generations = generation_service_pb2_grpc.GenerationServiceStub(self._channel)
        """`sakuga.generation.v1.GenerationService`, as generated."""
        self.jobs = job_service_pb2_grpc.JobServiceStub(self._channel)
        """`sakuga.generation.v1.JobService`, as generated."""
        self.asset_service = asset_service_pb2_grpc.AssetServiceStub(self._channel)
        """`sakuga.asset.v1.AssetService`, as generated."""
        self.model_service = model_service_pb2_grpc.ModelServiceStub(self._channel)
        """`sakuga.model.v1.ModelService`, as generated."""
        self.system = system_service_pb2_grpc.SystemServiceStub(self._channel)
        """`sakuga.system.v1.SystemService`, as generated."""

    def validate(self, prompt: PromptLike, *, strict: bool = False, model: str = "") -> Report:
        """Checks a prompt: every finding, the canonical form, and what each text encoder reads and cuts."""
        request = validation(prompt, strict=strict, model=model)
        return Report.read(self._ask(lambda: self.prompts.ValidatePrompt(request)))

    def parse(self, text: str, *, strict: bool = False) -> prompt_pb2.Prompt:
        """Turns text in any known envelope into the typed prompt. Raises `RequestRefused` if it holds errors.

        Warns if the text holds a negative prompt as well, which `take_apart` returns.
        """
        parts = self.take_apart(text, strict=strict)
        parts.warn_of_negative()
        return parts.prompt

    def take_apart(self, text: str, *, strict: bool = False) -> Parsed:
        """Turns text in any known envelope into the typed prompt, the negative prompt and their system prompts. Raises
        `RequestRefused` if it holds errors."""
        request = fill(prompt_service_pb2.ParsePromptRequest, xml=text, strictness=strictness(strict))
        return Parsed.read(self._ask(lambda: self.prompts.ParsePrompt(request)))

    def format(self, prompt: prompt_pb2.Prompt) -> str:
        """Writes a typed prompt as canonical XML."""
        request = fill(prompt_service_pb2.FormatPromptRequest, prompt=prompt)
        return self._ask(lambda: self.prompts.FormatPrompt(request)).canonical_xml

    def generate(self, prompt: PromptLike, *, deadline: float | None = None, **options: Unpack[Options]) -> Job:
        """Draws a prompt. Returns once the server has accepted it; the job has its events and then its pictures.

        `deadline` is in seconds and covers everything up to the last picture. Raises `RequestRefused`, which names the
        fields that are wrong.
        """
        return self.submit(build(prompt, options), deadline=deadline)

    def submit(self, request: request_pb2.GenerateRequest, *, deadline: float | None = None) -> Job:
        """Draws a request, such as the one in a picture."""
        if not isinstance(request, request_pb2.GenerateRequest):
            raise RequestError(f"a request is a `GenerateRequest`, not {type(request).__name__}")
        return Job(GenerateCall(self.generations, request, seconds("deadline", deadline), self.address))

    def estimate(
        self,
        prompt: PromptLike | request_pb2.GenerateRequest,
        *,
        priority: PriorityName = "normal",
        timeout: float | None = None,
        placement: PlacementName | None = None,
        **options: Unpack[Options],
    ) -> generation_service_pb2.Estimate:
        """What a job would take and when it would start, without creating it: time with an interval, memory, energy, tokens.

        Takes the options of `create`, or a whole request. If the job would be refused, `fits` is false and `obstacles` has
        what would have to change. Raises `RequestRefused` for a request that is not valid.
        """
        request = estimation(prompt, options, priority=priority, timeout=timeout, placement=placement)
        return self._ask(lambda: self.generations.Estimate(request)).estimate

    def create(
        self,
        prompt: PromptLike,
        *,
        priority: PriorityName = "normal",
        timeout: float | None = None,
        placement: PlacementName | None = None,
        cancel_on_disconnect: bool = False,
        **options: Unpack[Options],
    ) -> Job:
        """Draws a prompt as a job that the server keeps, so that a lost connection loses nothing.

        After a lost connection the events are watched over a new one. `timeout` is in seconds; a job that has not ended by
        then is cancelled. With the `placement` "latency" two devices draw the job if a second one is free. The call is repeated
        until it is answered, under one `request_id`, so it creates one job.
        """
        message = creation(
            prompt,
            options,
            priority=priority,
            timeout=timeout,
            placement=placement,
            cancel_on_disconnect=cancel_on_disconnect,
        )
        job = Retry().ask(lambda: self.jobs.CreateJob(message), self.address).job
        return self.watch(job.job_id)

    def watch(self, job_id: str, *, after_sequence: int | None = None) -> Job:
        """Watches a kept job from its first event, or after the last known one, `Job.last_sequence`."""
        return Job(WatchCall(self.jobs, job_id, after_sequence, self.address), job_id)

    def job(self, job_id: str) -> job_pb2.Job:
        """The state of a kept job."""
        request = fill(job_service_pb2.GetJobRequest, job_id=job_id)
        return self._ask(lambda: self.jobs.GetJob(request)).job

    def list_jobs(self, job_filter: job_service_pb2.JobFilter | None = None) -> Iterator[job_pb2.Job]:
        """Kept jobs, the newest first. Pages are fetched as they are needed."""
        request = fill(job_service_pb2.ListJobsRequest, filter=job_filter)
        empty_pages = 0
        while True:
            page = self._ask(lambda: self.jobs.ListJobs(request))
            yield from page.jobs
            empty_pages = 0 if page.jobs else empty_pages + 1
            # A search has empty pages. A server could send them, or the same token, forever.
            if empty_pages == EMPTY_PAGES_MAX or page.next_page_token in ("", request.page_token):
                return
            request.page_token = page.next_page_token

    def label(self, job_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> job_pb2.Job:
        """Adds and removes labels of a job, by which `JobFilter.labels` and `JobFilter.text` find it. The call can be repeated."""
        request = labelling(job_id, add, remove)
        return Retry().ask(lambda: self.jobs.LabelJob(request), self.address).job

    def cancel(self, job_id: str) -> job_pb2.Job:
        """Cancels a kept job: at once if it waits, at its next step if it runs."""
        request = fill(job_service_pb2.CancelJobRequest, job_id=job_id)
        return Retry().ask(lambda: self.jobs.CancelJob(request), self.address).job

    def artifact(self, job_id: str, image_index: int = 0, *, max_edge: int = 0) -> bytes:
        """A picture of a completed job, as a PNG file; with `max_edge`, a JPEG whose longer edge has at most that number of pixels."""
        return fetch(self.jobs, job_id, image_index, self.address, max_edge=max_edge)

    def telemetry(self, job_id: str) -> job_service_pb2.GetJobTelemetryResponse:
        """Samples of the device while a job ran, for the newest jobs since the start of the server."""
        request = fill(job_service_pb2.GetJobTelemetryRequest, job_id=job_id)
        return self._ask(lambda: self.jobs.GetJobTelemetry(request))

    def delete(self, job_id: str) -> None:
        """Deletes an ended job with its pictures."""
        request = fill(job_service_pb2.DeleteJobRequest, job_id=job_id)
        self._ask(lambda: self.jobs.DeleteJob(request))

    def upload_asset(self, source: FileLike) -> asset_service_pb2.Asset:
        """Uploads a picture or an adapter, bytes or a path, and returns its asset, whose `sha256` requests name. After a lost
        connection it continues where it was. What the server has as an asset of this client is not sent again."""
        upload, retry = Upload(source), Retry()
        while True:
            try:
                return self.asset_service.UploadAsset(upload.parts()).asset
            except grpc.RpcError as error:
                refused = explain(error, self.address)
                if not upload.continues(refused):
                    retry.after(refused)

    def get_asset(self, sha256: str) -> bytes:
        """The bytes of an asset, compared with their SHA-256. After a lost connection it continues where it was."""
        download, retry = Download(sha256), Retry()
        while True:
            try:
                for response in self.asset_service.GetAsset(download.request()):
                    download.add(response)
                    retry.succeeded()
                return download.finish()
            except grpc.RpcError as error:
                retry.after(explain(error, self.address))

    def list_assets(self) -> Iterator[asset_service_pb2.Asset]:
        """The assets of this client, the newest first. Pages are fetched as they are needed."""
        request = asset_service_pb2.ListAssetsRequest()
        while True:
            page = self._ask(lambda: self.asset_service.ListAssets(request))
            yield from page.assets
            # A server could send empty pages, or the same token, forever.
            if not page.assets or page.next_page_token in ("", request.page_token):
                return
            request.page_token = page.next_page_token

    def delete_asset(self, sha256: str) -> None:
        """Deletes an asset. Jobs that wait and refer to it will fail."""
        request = fill(asset_service_pb2.DeleteAssetRequest, sha256=sha256)
        self._ask(lambda: self.asset_service.DeleteAsset(request))

    def info(self) -> system_service_pb2.GetServerInfoResponse:
        """Version, device, limits and queue of the server."""
        return self._ask(lambda: self.system.GetServerInfo(system_service_pb2.GetServerInfoRequest()))

    def models(self) -> list[system_service_pb2.Model]:
        """The models of the server; the first is the default."""
        return list(self._ask(lambda: self.system.ListModels(system_service_pb2.ListModelsRequest())).models)

    def list_models(self) -> list[model_service_pb2.ModelStatus]:
        """The models of the server and where their weights are; the first is the default."""
        request = model_service_pb2.ListModelsRequest()
        return list(self._ask(lambda: self.model_service.ListModels(request)).models)

    def load_model(self, name: str) -> model_service_pb2.ModelStatus:
        """Puts a model on the device, and returns once it is there. Needs the scope `admin`."""
        request = fill(model_service_pb2.LoadModelRequest, name=name)
        return self._ask(lambda: self.model_service.LoadModel(request)).model

    def unload_model(self, name: str) -> model_service_pb2.ModelStatus:
        """Takes a model off the device and out of the server's memory. Needs the scope `admin`."""
        request = fill(model_service_pb2.UnloadModelRequest, name=name)
        return self._ask(lambda: self.model_service.UnloadModel(request)).model

    def list_devices(self) -> list[system_service_pb2.Device]:
        """The devices of the server, whether each takes jobs, and what it has done."""
        request = system_service_pb2.ListDevicesRequest()
        return list(self._ask(lambda: self.system.ListDevices(request)).devices)

    def drain_device(self, name: str) -> system_service_pb2.Device:
        """Gives a device no more jobs, and returns once its running job has ended. Needs the scope `admin`."""
        request = fill(system_service_pb2.DrainDeviceRequest, name=name)
        return self._ask(lambda: self.system.DrainDevice(request)).device

    def disable_device(self, name: str) -> system_service_pb2.Device:
        """Drains a device and frees the memory of its models. Needs the scope `admin`."""
        request = fill(system_service_pb2.DisableDeviceRequest, name=name)
        return self._ask(lambda: self.system.DisableDevice(request)).device

    def enable_device(self, name: str) -> system_service_pb2.Device:
        """Gives a device jobs again, and returns once its models are loaded. Needs the scope `admin`."""
        request = fill(system_service_pb2.EnableDeviceRequest, name=name)
        return self._ask(lambda: self.system.EnableDevice(request)).device

    def list_adapters(self) -> list[model_service_pb2.AdapterStatus]:
        """The adapters of the server, and which models they fit."""
        request = model_service_pb2.ListAdaptersRequest()
        return list(self._ask(lambda: self.model_service.ListAdapters(request)).adapters)

    def watch_device(self, *, interval_ms: int = 0, all_devices: bool = False) -> Iterator[DeviceStats]:
        """Samples of the device, or of all devices of the machine, until the iterator is closed."""
        request = fill(system_service_pb2.WatchGpuStatsRequest, interval_ms=interval_ms, all_devices=all_devices)
        call = self.system.WatchGpuStats(request)
        try:
            while (response := self._ask(lambda: next(call, None))) is not None:
                yield DeviceStats.read(response.stats)
        finally:
            call.cancel()

    def watch_activity(self, *, interval_ms: int = 0) -> Iterator[activity_pb2.Activity]:
        """What the server does and which processes hold the device's memory, until the iterator is closed."""
        request = fill(system_service_pb2.WatchActivityRequest, interval_ms=interval_ms)
        call = self.system.WatchActivity(request)
        try:
            while (response := self._ask(lambda: next(call, None))) is not None:
                yield response.activity
        finally:
            call.cancel()

    def close(self) -> None:
        """Closes the connection; calls that still run are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, call: Callable[[], _Answer]) -> _Answer:
        try:
            return call()
        except grpc.RpcError as error:
            raise explain(error, self.address) from error
