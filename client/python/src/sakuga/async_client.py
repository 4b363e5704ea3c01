"""The connection to a server for asyncio, and a method for each of its calls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc

from sakuga.asset.v1 import asset_service_pb2, asset_service_pb2_grpc
from sakuga.assets import Download, Upload
from sakuga.async_job import AsyncGenerateCall, AsyncJob, AsyncWatchCall, ask_again, fetch
from sakuga.calls import PlacementName, PriorityName, creation, estimation, labelling, settings, strictness, validation
from sakuga.connection import open_async_channel
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
from sakuga.model.v1 import model_service_pb2, model_service_pb2_grpc
from sakuga.prompt.v1 import prompt_pb2, prompt_service_pb2, prompt_service_pb2_grpc
from sakuga.prompts import Parsed, Report
from sakuga.request import Options, PromptLike, build, fill, seconds
from sakuga.system.v1 import activity_pb2, system_service_pb2, system_service_pb2_grpc
from sakuga.watch import EMPTY_PAGES_MAX, Backoff

_Answer = TypeVar("_Answer")


class AsyncClient:
    """A connection to a server for asyncio: the methods of `Client`, to be awaited. It belongs to one event loop.

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
        """Takes what `Client` takes. It connects at the first call."""
        parsed, credentials = settings(address, ca, identity, token)
        self.address: str = str(parsed)
        """The server's address."""
        self._channel = open_async_channel(parsed, credentials)
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

    async def validate(self, prompt: PromptLike, *, strict: bool = False, model: str = "") -> Report:
        """Checks a prompt: every finding, the canonical form, and what each text encoder reads and cuts."""
        request = validation(prompt, strict=strict, model=model)
        return Report.read(await self._ask(lambda: self.prompts.ValidatePrompt(request)))

    async def parse(self, text: str, *, strict: bool = False) -> prompt_pb2.Prompt:
        """Turns text in any known envelope into the typed prompt. As `Client.parse`."""
        parts = await self.take_apart(text, strict=strict)
        parts.warn_of_negative()
        return parts.prompt

    async def take_apart(self, text: str, *, strict: bool = False) -> Parsed:
        """Turns text into the typed prompt, the negative prompt and their system prompts. As `Client.take_apart`."""
        request = fill(prompt_service_pb2.ParsePromptRequest, xml=text, strictness=strictness(strict))
        return Parsed.read(await self._ask(lambda: self.prompts.ParsePrompt(request)))

    async def format(self, prompt: prompt_pb2.Prompt) -> str:
        """Writes a typed prompt as canonical XML."""
        request = fill(prompt_service_pb2.FormatPromptRequest, prompt=prompt)
        return (await self._ask(lambda: self.prompts.FormatPrompt(request))).canonical_xml

    async def generate(
        self, prompt: PromptLike, *, deadline: float | None = None, **options: Unpack[Options]
    ) -> AsyncJob:
        """Draws a prompt. Returns once the server has accepted it. As `Client.generate`."""
        return await self.submit(build(prompt, options), deadline=deadline)

    async def submit(self, request: request_pb2.GenerateRequest, *, deadline: float | None = None) -> AsyncJob:
        """Draws a request, such as the one in a picture."""
        if not isinstance(request, request_pb2.GenerateRequest):
            raise RequestError(f"a request is a `GenerateRequest`, not {type(request).__name__}")
        call = AsyncGenerateCall(self.generations, request, seconds("deadline", deadline), self.address)
        return await AsyncJob.accepted(call)

    async def estimate(
        self,
        prompt: PromptLike | request_pb2.GenerateRequest,
        *,
        priority: PriorityName = "normal",
        timeout: float | None = None,
        placement: PlacementName | None = None,
        **options: Unpack[Options],
    ) -> generation_service_pb2.Estimate:
        """What a job would take and when it would start, without creating it. As `Client.estimate`."""
        request = estimation(prompt, options, priority=priority, timeout=timeout, placement=placement)
        return (await self._ask(lambda: self.generations.Estimate(request))).estimate

    async def create(
        self,
        prompt: PromptLike,
        *,
        priority: PriorityName = "normal",
        timeout: float | None = None,
        placement: PlacementName | None = None,
        cancel_on_disconnect: bool = False,
        **options: Unpack[Options],
    ) -> AsyncJob:
        """Draws a prompt as a job that the server keeps. As `Client.create`."""
        message = creation(
            prompt,
            options,
            priority=priority,
            timeout=timeout,
            placement=placement,
            cancel_on_disconnect=cancel_on_disconnect,
        )
        answer = await ask_again(lambda: self.jobs.CreateJob(message), self.address)
        return self.watch(answer.job.job_id)

    def watch(self, job_id: str, *, after_sequence: int | None = None) -> AsyncJob:
        """Watches a kept job from its first event, or after the last known one, `AsyncJob.last_sequence`."""
        return AsyncJob(AsyncWatchCall(self.jobs, job_id, after_sequence, self.address), job_id)

    async def job(self, job_id: str) -> job_pb2.Job:
        """The state of a kept job."""
        request = fill(job_service_pb2.GetJobRequest, job_id=job_id)
        return (await self._ask(lambda: self.jobs.GetJob(request))).job

    async def list_jobs(self, job_filter: job_service_pb2.JobFilter | None = None) -> AsyncIterator[job_pb2.Job]:
        """Kept jobs, the newest first. Pages are fetched as they are needed."""
        request = fill(job_service_pb2.ListJobsRequest, filter=job_filter)
        empty_pages = 0
        while True:
            page = await self._ask(lambda: self.jobs.ListJobs(request))
            for job in page.jobs:
                yield job
            empty_pages = 0 if page.jobs else empty_pages + 1
            # A search has empty pages. A server could send them, or the same token, forever.
            if empty_pages == EMPTY_PAGES_MAX or page.next_page_token in ("", request.page_token):
                return
            request.page_token = page.next_page_token

    async def label(self, job_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> job_pb2.Job:
        """Adds and removes labels of a job. As `Client.label`."""
        request = labelling(job_id, add, remove)
        return (await ask_again(lambda: self.jobs.LabelJob(request), self.address)).job

    async def cancel(self, job_id: str) -> job_pb2.Job:
        """Cancels a kept job: at once if it waits, at its next step if it runs."""
        request = fill(job_service_pb2.CancelJobRequest, job_id=job_id)
        return (await ask_again(lambda: self.jobs.CancelJob(request), self.address)).job

    async def artifact(self, job_id: str, image_index: int = 0, *, max_edge: int = 0) -> bytes:
        """A picture of a completed job, or a smaller JPEG of it. As `Client.artifact`."""
        return await fetch(self.jobs, job_id, image_index, self.address, max_edge=max_edge)

    async def telemetry(self, job_id: str) -> job_service_pb2.GetJobTelemetryResponse:
        """Samples of the device while a job ran, for the newest jobs since the start of the server."""
        request = fill(job_service_pb2.GetJobTelemetryRequest, job_id=job_id)
        return await self._ask(lambda: self.jobs.GetJobTelemetry(request))

    async def delete(self, job_id: str) -> None:
        """Deletes an ended job with its pictures."""
        request = fill(job_service_pb2.DeleteJobRequest, job_id=job_id)
        await self._ask(lambda: self.jobs.DeleteJob(request))

    async def upload_asset(self, source: FileLike) -> asset_service_pb2.Asset:
        """Uploads a file, and returns its asset. As `Client.upload_asset`."""
        upload, backoff = Upload(source), Backoff()
        while True:
            try:
                return (await self.asset_service.UploadAsset(upload.parts())).asset
            except grpc.RpcError as error:
                refused = explain(error, self.address)
                if not upload.continues(refused):
                    await asyncio.sleep(backoff.after(refused))

    async def get_asset(self, sha256: str) -> bytes:
        """The bytes of an asset. As `Client.get_asset`."""
        download, backoff = Download(sha256), Backoff()
        while True:
            try:
                async for response in self.asset_service.GetAsset(download.request()):
                    download.add(response)
                    backoff.succeeded()
                return download.finish()
            except grpc.RpcError as error:
                await asyncio.sleep(backoff.after(explain(error, self.address)))

    async def list_assets(self) -> AsyncIterator[asset_service_pb2.Asset]:
        """The assets of this client, the newest first. Pages are fetched as they are needed."""
        request = asset_service_pb2.ListAssetsRequest()
        while True:
            page = await self._ask(lambda: self.asset_service.ListAssets(request))
            for asset in page.assets:
                yield asset
            # A server could send empty pages, or the same token, forever.
            if not page.assets or page.next_page_token in ("", request.page_token):
                return
            request.page_token = page.next_page_token

    async def delete_asset(self, sha256: str) -> None:
        """Deletes an asset. Jobs that wait and refer to it will fail."""
        request = fill(asset_service_pb2.DeleteAssetRequest, sha256=sha256)
        await self._ask(lambda: self.asset_service.DeleteAsset(request))

    async def info(self) -> system_service_pb2.GetServerInfoResponse:
        """Version, device, limits and queue of the server."""
        return await self._ask(lambda: self.system.GetServerInfo(system_service_pb2.GetServerInfoRequest()))

    async def models(self) -> list[system_service_pb2.Model]:
        """The models of the server; the first is the default."""
        answer = await self._ask(lambda: self.system.ListModels(system_service_pb2.ListModelsRequest()))
        return list(answer.models)

    async def list_models(self) -> list[model_service_pb2.ModelStatus]:
        """The models of the server and where their weights are; the first is the default."""
        request = model_service_pb2.ListModelsRequest()
        return list((await self._ask(lambda: self.model_service.ListModels(request))).models)

    async def load_model(self, name: str) -> model_service_pb2.ModelStatus:
        """Puts a model on the device, and returns once it is there. Needs the scope `admin`."""
        request = fill(model_service_pb2.LoadModelRequest, name=name)
        return (await self._ask(lambda: self.model_service.LoadModel(request))).model

    async def unload_model(self, name: str) -> model_service_pb2.ModelStatus:
        """Takes a model off the device and out of the server's memory. Needs the scope `admin`."""
        request = fill(model_service_pb2.UnloadModelRequest, name=name)
        return (await self._ask(lambda: self.model_service.UnloadModel(request))).model

    async def list_devices(self) -> list[system_service_pb2.Device]:
        """The devices of the server, whether each takes jobs, and what it has done."""
        request = system_service_pb2.ListDevicesRequest()
        return list((await self._ask(lambda: self.system.ListDevices(request))).devices)

    async def drain_device(self, name: str) -> system_service_pb2.Device:
        """Gives a device no more jobs, and returns once its running job has ended. Needs the scope `admin`."""
        request = fill(system_service_pb2.DrainDeviceRequest, name=name)
        return (await self._ask(lambda: self.system.DrainDevice(request))).device

    async def disable_device(self, name: str) -> system_service_pb2.Device:
        """Drains a device and frees the memory of its models. Needs the scope `admin`."""
        request = fill(system_service_pb2.DisableDeviceRequest, name=name)
        return (await self._ask(lambda: self.system.DisableDevice(request))).device

    async def enable_device(self, name: str) -> system_service_pb2.Device:
        """Gives a device jobs again, and returns once its models are loaded. Needs the scope `admin`."""
        request = fill(system_service_pb2.EnableDeviceRequest, name=name)
        return (await self._ask(lambda: self.system.EnableDevice(request))).device

    async def list_adapters(self) -> list[model_service_pb2.AdapterStatus]:
        """The adapters of the server, and which models they fit."""
        request = model_service_pb2.ListAdaptersRequest()
        return list((await self._ask(lambda: self.model_service.ListAdapters(request))).adapters)

    async def watch_device(self, *, interval_ms: int = 0, all_devices: bool = False) -> AsyncIterator[DeviceStats]:
        """Samples of the device, or of all devices of the machine, until the iterator is closed."""
        request = fill(system_service_pb2.WatchGpuStatsRequest, interval_ms=interval_ms, all_devices=all_devices)
        call = self.system.WatchGpuStats(request)
        try:
            async for response in call:
                yield DeviceStats.read(response.stats)
        except grpc.RpcError as error:
            raise explain(error, self.address) from error
        finally:
            call.cancel()

    async def watch_activity(self, *, interval_ms: int = 0) -> AsyncIterator[activity_pb2.Activity]:
        """What the server does and which processes hold the device's memory, until the iterator is closed."""
        request = fill(system_service_pb2.WatchActivityRequest, interval_ms=interval_ms)
        call = self.system.WatchActivity(request)
        try:
            async for response in call:
                yield response.activity
        except grpc.RpcError as error:
            raise explain(error, self.address) from error
        finally:
            call.cancel()

    async def close(self) -> None:
        """Closes the connection; calls that still run are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            return await call()
        except grpc.RpcError as error:
            raise explain(error, self.address) from error
