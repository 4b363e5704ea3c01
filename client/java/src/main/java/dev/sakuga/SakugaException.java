package dev.sakuga;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.sakuga.generation.v1.CancelReason;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Base class of the errors of this package. */
public class SakugaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  SakugaException(String message, Throwable cause) {
    super(message, cause);
  }

  /** The address of the server, or a credential, cannot be used. Nothing was sent. */
  public static final class Address extends SakugaException {
    private static final long serialVersionUID = 1L;

    Address(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /** The server cannot be reached, or the connection broke while a call was running. */
  public static final class ConnectionLost extends SakugaException {
    private static final long serialVersionUID = 1L;

    ConnectionLost(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /** The deadline that the caller set passed. */
  public static final class DeadlineExceeded extends SakugaException {
    private static final long serialVersionUID = 1L;

    DeadlineExceeded(Throwable cause) {
      super("the deadline of the call passed", cause);
    }
  }

  /** The server broke its own protocol. */
  public static final class Protocol extends SakugaException {
    private static final long serialVersionUID = 1L;

    Protocol(String message) {
      super(message, null);
    }
  }

  /** A picture arrived, but not as the server sent it. */
  public static final class DamagedPicture extends SakugaException {
    private static final long serialVersionUID = 1L;

    DamagedPicture(int index, String reason) {
      super("picture " + index + " is damaged: " + reason, null);
    }
  }

  /** There is no picture because the job was cancelled. */
  public static final class JobCancelled extends SakugaException {
    private static final long serialVersionUID = 1L;

    /** Steps that were done. */
    public final int atStep;

    /** Why. */
    public final CancelReason reason;

    JobCancelled(int atStep, CancelReason reason) {
      super("the job was cancelled after " + atStep + " steps: " + reason, null);
      this.atStep = atStep;
      this.reason = reason;
    }
  }

  /** An error of the server, with its {@code google.rpc} details decoded. */
  public static class Server extends SakugaException {
    private static final long serialVersionUID = 1L;

    private final transient com.google.rpc.Status status;
    private final transient BadRequest badRequest;
    private final transient ErrorInfo info;
    private final transient Optional<Duration> retryAfter;

    Server(com.google.rpc.Status status, Throwable cause) {
      super(text(status), cause);
      this.status = status;
      badRequest = detail(status, BadRequest.class).orElse(BadRequest.getDefaultInstance());
      info = detail(status, ErrorInfo.class).orElse(ErrorInfo.getDefaultInstance());
      retryAfter =
          detail(status, RetryInfo.class)
              .map(found -> Duration.ofSeconds(found.getRetryDelay().getSeconds(), found.getRetryDelay().getNanos()));
    }

    /**
     * The code.
     *
     * @return the code
     */
    public Status.Code code() {
      return Status.fromCodeValue(status.getCode()).getCode();
    }

    /**
     * The reason as a constant of the domain ({@code ErrorInfo}), such as {@code QUEUE_FULL}.
     *
     * @return the reason, or an empty string
     */
    public String reason() {
      return info.getReason();
    }

    /**
     * What the reason belongs to ({@code ErrorInfo}).
     *
     * @return the domain, or an empty string
     */
    public String domain() {
      return info.getDomain();
    }

    /**
     * Further facts ({@code ErrorInfo}), by name.
     *
     * @return the facts
     */
    public Map<String, String> metadata() {
      return info.getMetadataMap();
    }

    /**
     * What is wrong field by field ({@code BadRequest}).
     *
     * @return the violations
     */
    public List<Violation> violations() {
      return violationsOf(badRequest);
    }

    /**
     * How long to wait before the next try ({@code RetryInfo}).
     *
     * @return the time, if the server names one
     */
    public Optional<Duration> retryAfter() {
      return retryAfter;
    }

    com.google.rpc.Status status() {
      return status;
    }

    private static List<Violation> violationsOf(BadRequest badRequest) {
      List<Violation> violations = new ArrayList<>();
      for (BadRequest.FieldViolation found : badRequest.getFieldViolationsList()) {
        violations.add(new Violation(found.getField(), found.getDescription(), found.getReason()));
      }
      return List.copyOf(violations);
    }

    private static String text(com.google.rpc.Status status) {
      StringBuilder text = new StringBuilder(status.getMessage());
      text.append(" (").append(Status.fromCodeValue(status.getCode()).getCode()).append(')');
      for (Violation found : violationsOf(detail(status, BadRequest.class).orElse(BadRequest.getDefaultInstance()))) {
        String field = found.field().isEmpty() ? "prompt" : found.field();
        text.append("\n  ").append(field).append(": ").append(found.description());
      }
      return text.toString();
    }
  }

  /** The server refused the request. */
  public static final class RequestRefused extends Server {
    private static final long serialVersionUID = 1L;

    RequestRefused(com.google.rpc.Status status, Throwable cause) {
      super(status, cause);
    }
  }

  /** The server accepted the request and could not carry it out. */
  public static final class JobFailed extends Server {
    private static final long serialVersionUID = 1L;

    JobFailed(com.google.rpc.Status status, Throwable cause) {
      super(status, cause);
    }
  }

  /** The error of a failed call: one of the server, or of the connection. */
  static SakugaException explain(RuntimeException error) {
    if (error instanceof SakugaException known) {
      return known;
    }
    com.google.rpc.Status status = StatusProto.fromThrowable(error);
    if (status == null) {
      return new ConnectionLost("the call failed: " + error.getMessage(), error);
    }
    // Every refusal of the server has an ErrorInfo; what has none comes from the connection, or from a proxy on the way.
    if (detail(status, ErrorInfo.class).isPresent()) {
      return new RequestRefused(status, error);
    }
    return switch (Status.fromCodeValue(status.getCode()).getCode()) {
      case DEADLINE_EXCEEDED -> new DeadlineExceeded(error);
      case UNAVAILABLE, CANCELLED, INTERNAL, UNKNOWN ->
          new ConnectionLost("no connection: " + status.getMessage(), error);
      default -> new RequestRefused(status, error);
    };
  }

  private static <T extends com.google.protobuf.Message> Optional<T> detail(com.google.rpc.Status status, Class<T> kind) {
    for (Any detail : status.getDetailsList()) {
      if (detail.is(kind)) {
        try {
          return Optional.of(detail.unpack(kind));
        } catch (InvalidProtocolBufferException damaged) {
          // Unknown and damaged details are left out.
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }
}
