"""Client of Sakuga: anime pictures from structured prompts, over gRPC.

    with sakuga.Client("localhost:50051") as client:
        job = client.generate(pathlib.Path("prompt.xml"), seed=7)
        job.picture.save("girl.png")

The packages `sakuga.prompt`, `sakuga.generation`, `sakuga.asset`, `sakuga.model` and `sakuga.system` are generated from the
protos.
"""

from sakuga.async_client import AsyncClient
from sakuga.async_job import AsyncJob
from sakuga.client import Client
from sakuga.controls import control
from sakuga.device import DeviceStats
from sakuga.errors import (
    AddressError,
    ConnectionLost,
    CredentialsError,
    DamagedPicture,
    DeadlineExceeded,
    JobCancelled,
    JobFailed,
    ProtocolError,
    RequestError,
    RequestRefused,
    SakugaError,
    ServerError,
    Status,
    Violation,
)
from sakuga.events import (
    Accepted,
    Cancelled,
    CancelReason,
    Completed,
    Event,
    Preview,
    Profile,
    ProfileSpan,
    Queued,
    Receiving,
    Requeued,
    Stage,
    StageBegun,
    Started,
    Stats,
    Step,
    Timings,
    Unknown,
)
from sakuga.files import FileLike, ImageLike
from sakuga.job import Job
from sakuga.pictures import Picture
from sakuga.prompts import Diagnostic, Edit, Fix, Parsed, Report, Severity, TokenCount
from sakuga.records import read_record
from sakuga.request import AdapterLike, Options, PromptLike
from sakuga.scenes import SceneOptions, scene

__all__ = [
    "Accepted",
    "AdapterLike",
    "AddressError",
    "AsyncClient",
    "AsyncJob",
    "CancelReason",
    "Cancelled",
    "Client",
    "Completed",
    "ConnectionLost",
    "CredentialsError",
    "DamagedPicture",
    "DeadlineExceeded",
    "DeviceStats",
    "Diagnostic",
    "Edit",
    "Event",
    "FileLike",
    "Fix",
    "ImageLike",
    "Job",
    "JobCancelled",
    "JobFailed",
    "Options",
    "Parsed",
    "Picture",
    "Preview",
    "Profile",
    "ProfileSpan",
    "PromptLike",
    "ProtocolError",
    "Queued",
    "Receiving",
    "Report",
    "Requeued",
    "RequestError",
    "RequestRefused",
    "SakugaError",
    "SceneOptions",
    "ServerError",
    "Severity",
    "Stage",
    "StageBegun",
    "Started",
    "Stats",
    "Status",
    "Step",
    "Timings",
    "TokenCount",
    "Unknown",
    "Violation",
    "control",
    "read_record",
    "scene",
]
