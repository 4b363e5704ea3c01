"""The events of a job: one dataclass for each kind, for use with `match`."""

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from sakuga.device import DeviceStats
from sakuga.generation.v1 import event_pb2, request_pb2
from sakuga.pictures import Picture
from sakuga.prompts import Diagnostic


class Stage(enum.Enum):
    """A stage of the pipeline."""

    UNKNOWN = 0
    """A stage of a newer server."""
    TEXT_ENCODE = 1
    """The text encoders encode the prompt."""
    DENOISE = 2
    """The solver integrates the latents."""
    DECODE = 3
    """The VAE turns latents into pixels."""
    ENCODE_IMAGE = 4
    """Pixels become PNG."""
    LOAD_MODEL = 5
    """The weights of the model are put on the device. Comes first, and only if they were not there."""
    VAE_ENCODE = 6
    """The VAE turns pixels into latents: of the image to begin from, and before a second pass."""
    LOAD_ADAPTERS = 7
    """The weights are changed to those with the adapters of the request, or back to those without."""

    @classmethod
    def _missing_(cls, value: object) -> "Stage":
        return cls.UNKNOWN


class CancelReason(enum.Enum):
    """Why a job was cancelled."""

    UNKNOWN = 0
    """A reason of a newer server."""
    CLIENT_GONE = 1
    """The client disconnected."""
    REQUESTED = 2
    """A client cancelled it."""
    DEADLINE = 3
    """The call's deadline passed."""
    SHUTDOWN = 4
    """The server is shutting down."""

    @classmethod
    def _missing_(cls, value: object) -> "CancelReason":
        return cls.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What every event of a job has."""

    sequence: int
    """Position in the job's events, from 0."""
    time: datetime
    """When it happened, by the server's clock, in UTC."""
    job_id: str
    """The job."""
    missed_before: int
    """How many events the server dropped before this one, because this side read too slowly. Only previews and statistics
    are ever dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Header):
    """The request is valid and has a job."""

    request_id: str
    """The identifier that the caller gave, or that the server made."""
    diagnostics: tuple[Diagnostic, ...]
    """Findings in the prompt, repairs included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(Header):
    """The job waits in the queue."""

    position: int
    """Jobs before this one, the running one included."""
    eta: timedelta | None
    """When it will probably start, if anything was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Header):
    """The job runs."""

    request: request_pb2.GenerateRequest = field(repr=False)
    """The request with every default filled in. Sent again, it draws the same pictures on the same device."""
    seeds: tuple[int, ...]
    """The seed of each picture's noise."""
    device: str
    """The device, such as `cpu`."""
    model_notice: str
    """The notice of the model; may be empty."""
    quality: event_pb2.QualityPromise | None = None
    """What was measured of the quality of the request; `None` for exact pictures and settings that were not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBegun(Header):
    """A stage of the pipeline begins."""

    stage: Stage
    """The stage."""
    pass_number: int = 1
    """The pass that it belongs to: 1, or 2 if the request has a second one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Header):
    """A step is done."""

    index: int
    """From 1 to `total`."""
    total: int
    """Steps of this job that are computed, in all passes."""
    t: float
    """Time reached: 0 is noise, 1 is the picture."""
    sigma: float
    """Share of noise left."""
    step_ms: float
    """How long the step took, in milliseconds."""
    eta: timedelta | None
    """Time left until the pictures."""
    guidance_active: bool
    """Whether guidance was active at the start of the step."""
    evaluations: int
    """Evaluations of the network so far."""
    pass_number: int = 1
    """The pass that it belongs to: 1, or 2 if the request has a second one."""
    reused_share: float = 0.0
    """Share of the halves of guidance of all pictures that reused blocks of earlier evaluations, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Header):
    """A look at what is being drawn."""

    image_index: int
    """Which picture of the request."""
    step: int
    """The step after which it was made."""
    method: str
    """How it was made: `linear` or `decoder`."""
    format: str
    """How it is encoded: `jpeg`, `png` or `webp`."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    data: bytes = field(repr=False)
    """The encoded picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSpan:
    """All operations of one name in one layer."""

    network: str
    """The network: `gemma3`, `jina_clip`, `next_dit` or `autoencoder_kl`."""
    layer: int | None
    """The layer or block, from 0. `None`: outside of them."""
    name: str
    """What was done, such as `attention`."""
    count: int
    """How often."""
    ms: float
    """Time on the device, in milliseconds."""
    flops: float
    """Floating-point operations of products and attention. 0: neither."""
    bytes: float
    """Bytes that must be read and written at least. 0: bound by arithmetic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(Header):
    """Where the time of a part of the pipeline went, for a job with `profile=True`."""

    stage: Stage
    """The stage."""
    spans: tuple[ProfileSpan, ...] = field(repr=False)
    """The operations. Empty: this device or path cannot tell."""
    device_ms: float
    """The device's time in all spans, in milliseconds."""
    wall_ms: float
    """The time of the part by the host's clock, in milliseconds."""
    peak_flops_per_second: float | None
    """What the device reaches in a large product. `None`: not measured."""
    peak_bytes_per_second: float | None
    """What it reaches in a large copy. `None`: not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats(Header):
    """A sample of the device came with the job's events."""

    stats: DeviceStats
    """The sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving(Header):
    """A piece of a finished picture arrived."""

    image_index: int
    """Which picture of the request."""
    received_bytes: int
    """Bytes of it that are here."""
    total_bytes: int
    """Bytes of the whole picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Where the time went."""

    queued: timedelta
    """In the queue."""
    text_encode: timedelta
    """Text encoders."""
    denoise: timedelta
    """All steps."""
    decode: timedelta
    """Latents to pixels."""
    encode_image: timedelta
    """Pixels to PNG."""
    total: timedelta
    """From acceptance to the end."""
    load_model: timedelta | None = None
    """The weights of the model to the device. `None`: they were there."""
    vae_encode: timedelta | None = None
    """Pixels to latents. `None`: nothing was encoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(Header):
    """Terminal: the pictures are here, complete and with the checksums that the server named."""

    pictures: tuple[Picture, ...]
    """The pictures, in the order of the request."""
    timings: Timings
    """Where the time went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Header):
    """Terminal: the job was cancelled."""

    at_step: int
    """Steps that were done."""
    reason: CancelReason
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued(Header):
    """The server was stopped while the job ran; the job waits again, to be drawn from the start under the same seed."""

    attempt: int
    """The attempt that comes: 2 behind the first stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Header):
    """A kind of event that a newer server sends and this client does not know."""


Event: TypeAlias = (
    Accepted
    | Queued
    | Requeued
    | Started
    | StageBegun
    | Step
    | Preview
    | Profile
    | Stats
    | Receiving
    | Completed
    | Cancelled
    | Unknown
)
"""One thing that happened to a job. The terminal event `failed` is not an event here but raises `JobFailed`."""
