package dev.sakuga;

import dev.sakuga.generation.v1.CancelJobRequest;
import dev.sakuga.generation.v1.GenerateEvent;
import dev.sakuga.generation.v1.GenerateRequest;
import dev.sakuga.generation.v1.GenerateResponse;
import dev.sakuga.generation.v1.GenerationServiceGrpc.GenerationServiceBlockingStub;
import dev.sakuga.generation.v1.JobServiceGrpc.JobServiceBlockingStub;
import dev.sakuga.generation.v1.WatchJobRequest;
import dev.sakuga.generation.v1.WatchJobResponse;
import io.grpc.Context;
import java.util.Iterator;
import java.util.function.IntFunction;

/** The events of one job. */
interface Source {
  /** The next event; null at the end. */
  GenerateEvent receive();

  /** Asks for the end of the job. */
  void cancel();

  /** Ends the stream. */
  void close();

  /** Reads a finished picture; null if the server does not keep the job. */
  IntFunction<byte[]> fetch();

  /** One call of {@code Generate}. The job ends with the call. */
  final class Generate implements Source {
    private final Context.CancellableContext context = Context.current().withCancellation();
    private final Iterator<GenerateResponse> stream;

    Generate(GenerationServiceBlockingStub stub, GenerateRequest request) {
      Context previous = context.attach();
      try {
        stream = stub.generate(request);
      } finally {
        context.detach(previous);
      }
    }

    @Override
    public GenerateEvent receive() {
      try {
        if (!stream.hasNext()) {
          return null;
        }
        GenerateResponse response = stream.next();
        if (!response.hasEvent()) {
          throw new SakugaException.Protocol("a message has no event");
        }
        return response.getEvent();
      } catch (RuntimeException error) {
        throw SakugaException.explain(error);
      }
    }

    @Override
    public void cancel() {
      close();
    }

    @Override
    public void close() {
      context.cancel(null);
    }

    @Override
    public IntFunction<byte[]> fetch() {
      return null;
    }
  }

  /** The events of a kept job after a known one. After a lost connection they continue, without loss or repetition. */
  final class Watch implements Source {
    private final SakugaClient client;
    private final JobServiceBlockingStub stub;
    private final String jobId;
    private final Retry retry = new Retry();
    private final Context.CancellableContext context = Context.current().withCancellation();
    private Long after;
    private Iterator<WatchJobResponse> stream;

    Watch(SakugaClient client, JobServiceBlockingStub stub, String jobId, Long after) {
      this.client = client;
      this.stub = stub;
      this.jobId = jobId;
      this.after = after;
    }

    @Override
    public GenerateEvent receive() {
      while (!context.isCancelled()) {
        WatchJobResponse response;
        try {
          if (stream == null) {
            stream = open();
          }
          if (!stream.hasNext()) {
            return null;
          }
          response = stream.next();
        } catch (RuntimeException error) {
          stream = null;
          if (!context.isCancelled()) {
            retry.after(error);
          }
          continue;
        }
        retry.succeeded();
        // The other messages say that the stream is open, or that the connection is alive.
        if (response.hasEvent()) {
          after = response.getEvent().getSequence();
          return response.getEvent();
        }
      }
      return null;
    }

    private Iterator<WatchJobResponse> open() {
      WatchJobRequest.Builder request = WatchJobRequest.newBuilder().setJobId(jobId);
      if (after != null) {
        request.setAfterSequence(after);
      }
      Context previous = context.attach();
      try {
        return stub.watchJob(request.build());
      } finally {
        context.detach(previous);
      }
    }

    @Override
    public void cancel() {
      Retry.ask(() -> stub.cancelJob(CancelJobRequest.newBuilder().setJobId(jobId).build()));
    }

    @Override
    public void close() {
      context.cancel(null);
    }

    @Override
    public IntFunction<byte[]> fetch() {
      return index -> client.artifact(jobId, index);
    }
  }
}
