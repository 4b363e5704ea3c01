"""Events from their messages."""

from datetime import UTC, datetime, timedelta
from typing import TypedDict

from sakuga.device import DeviceStats
from sakuga.errors import span
from sakuga.events import (
    Accepted,
    Cancelled,
    CancelReason,
    Event,
    Preview,
    Profile,
    ProfileSpan,
    Queued,
    Requeued,
    Stage,
    StageBegun,
    Started,
    Stats,
    Step,
    Timings,
    Unknown,
)
from sakuga.generation.v1 import event_pb2, request_pb2
from sakuga.prompts import Diagnostic
from sakuga.wording import word


def timings(wire: event_pb2.Timings) -> Timings:
    """Timings from their message."""
    return Timings(
        queued=span(wire.queued),
        text_encode=span(wire.text_encode),
        denoise=span(wire.denoise),
        decode=span(wire.decode),
        encode_image=span(wire.encode_image),
        total=span(wire.total),
        load_model=span(wire.load_model) if wire.HasField("load_model") else None,
        vae_encode=span(wire.vae_encode) if wire.HasField("vae_encode") else None,
    )


class HeaderFields(TypedDict):
    """The arguments of `Header`."""

    sequence: int
    time: datetime
    job_id: str
    missed_before: int


def header(wire: event_pb2.GenerateEvent, missed_before: int) -> HeaderFields:
    """What every event has, from its message."""
    try:
        time = datetime.fromtimestamp(wire.time.seconds, UTC) + timedelta(microseconds=wire.time.nanos // 1000)
    except (OSError, OverflowError, ValueError):
        # A time that is legal in protobuf can be beyond the range of Python.
        time = (datetime.max if wire.time.seconds > 0 else datetime.min).replace(tzinfo=UTC)
    return {"sequence": wire.sequence, "time": time, "job_id": wire.job_id, "missed_before": missed_before}


def plain(wire: event_pb2.GenerateEvent, header: HeaderFields) -> Event:
    """An event that needs no state. Pieces of pictures and terminal events belong to the job."""
    match wire.WhichOneof("event"):
        case "accepted":
            found = tuple(map(Diagnostic.read, wire.accepted.diagnostics))
            return Accepted(**header, request_id=wire.accepted.request_id, diagnostics=found)
        case "queued":
            return Queued(
                **header,
                position=wire.queued.position,
                eta=span(wire.queued.eta) if wire.queued.HasField("eta") else None,
            )
        case "requeued":
            return Requeued(**header, attempt=wire.requeued.attempt)
        case "started":
            started = wire.started
            return Started(
                **header,
                request=started.resolved,
                seeds=tuple(started.seeds),
                device=started.device,
                model_notice=started.model_notice,
                quality=started.quality if started.HasField("quality") else None,
            )
        case "stage":
            return StageBegun(**header, stage=Stage(wire.stage.stage), pass_number=wire.stage.pass_number)
        case "step":
            step = wire.step
            return Step(
                **header,
                index=step.index,
                total=step.total,
                t=step.t,
                sigma=step.sigma,
                step_ms=step.step_ms,
                eta=span(step.eta) if step.HasField("eta") else None,
                guidance_active=step.guidance_active,
                evaluations=step.evaluations,
                pass_number=step.pass_number,
                reused_share=step.reused_share,
            )
        case "preview":
            preview = wire.preview
            return Preview(
                **header,
                image_index=preview.image_index,
                step=preview.step,
                method=word(request_pb2.PreviewMethod.DESCRIPTOR, preview.method),
                format=word(request_pb2.ImageFormat.DESCRIPTOR, preview.format),
                width=preview.width,
                height=preview.height,
                data=preview.data,
            )
        case "profile":
            return _profile(wire.profile, header)
        case "gpu_stats":
            return Stats(**header, stats=DeviceStats.read(wire.gpu_stats))
        case "cancelled":
            cancelled = wire.cancelled
            return Cancelled(**header, at_step=cancelled.at_step, reason=CancelReason(cancelled.reason))
        case _:
            return Unknown(**header)


def _profile(profile: event_pb2.Profile, header: HeaderFields) -> Profile:
    spans = tuple(
        ProfileSpan(
            network=one.network,
            layer=one.layer if one.HasField("layer") else None,
            name=one.name,
            count=one.count,
            ms=one.ms,
            flops=one.flops,
            bytes=one.bytes,
        )
        for one in profile.spans
    )
    return Profile(
        **header,
        stage=Stage(profile.stage),
        spans=spans,
        device_ms=profile.device_ms,
        wall_ms=profile.wall_ms,
        peak_flops_per_second=profile.peak_flops_per_second if profile.HasField("peak_flops_per_second") else None,
        peak_bytes_per_second=profile.peak_bytes_per_second if profile.HasField("peak_bytes_per_second") else None,
    )
