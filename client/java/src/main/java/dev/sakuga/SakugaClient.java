package dev.sakuga;

import dev.sakuga.asset.v1.Asset;
import dev.sakuga.asset.v1.AssetServiceGrpc;
import dev.sakuga.asset.v1.DeleteAssetRequest;
import dev.sakuga.generation.v1.CancelJobRequest;
import dev.sakuga.generation.v1.CreateJobRequest;
import dev.sakuga.generation.v1.DeleteJobRequest;
import dev.sakuga.generation.v1.GenerateRequest;
import dev.sakuga.generation.v1.GenerationServiceGrpc;
import dev.sakuga.generation.v1.GenerationServiceGrpc.GenerationServiceBlockingStub;
import dev.sakuga.generation.v1.GetArtifactRequest;
import dev.sakuga.generation.v1.GetArtifactResponse;
import dev.sakuga.generation.v1.GetJobRequest;
import dev.sakuga.generation.v1.GetJobTelemetryRequest;
import dev.sakuga.generation.v1.GetJobTelemetryResponse;
import dev.sakuga.generation.v1.ImageChunk;
import dev.sakuga.generation.v1.JobFilter;
import dev.sakuga.generation.v1.JobOptions;
import dev.sakuga.generation.v1.JobServiceGrpc;
import dev.sakuga.generation.v1.JobServiceGrpc.JobServiceBlockingStub;
import dev.sakuga.generation.v1.ListJobsRequest;
import dev.sakuga.generation.v1.ListJobsResponse;
import dev.sakuga.prompt.v1.FormatPromptRequest;
import dev.sakuga.prompt.v1.ParsePromptRequest;
import dev.sakuga.prompt.v1.Prompt;
import dev.sakuga.prompt.v1.PromptServiceGrpc;
import dev.sakuga.prompt.v1.PromptServiceGrpc.PromptServiceBlockingStub;
import dev.sakuga.prompt.v1.ValidatePromptRequest;
import dev.sakuga.prompt.v1.ValidatePromptResponse;
import dev.sakuga.system.v1.Activity;
import dev.sakuga.system.v1.GetServerInfoRequest;
import dev.sakuga.system.v1.GetServerInfoResponse;
import dev.sakuga.system.v1.GpuStats;
import dev.sakuga.system.v1.ListModelsRequest;
import dev.sakuga.system.v1.Model;
import dev.sakuga.system.v1.SystemServiceGrpc;
import dev.sakuga.system.v1.SystemServiceGrpc.SystemServiceBlockingStub;
import dev.sakuga.system.v1.WatchActivityRequest;
import dev.sakuga.system.v1.WatchActivityResponse;
import dev.sakuga.system.v1.WatchGpuStatsRequest;
import dev.sakuga.system.v1.WatchGpuStatsResponse;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.OptionalLong;
import java.util.UUID;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.Supplier;

/** A connection to a server. It may be shared between threads. */
public final class SakugaClient implements AutoCloseable {
  /** Empty pages one after the other after which a list ends. */
  private static final int EMPTY_PAGES_MAX = 100;

  private final ManagedChannel channel;
  private final PromptServiceBlockingStub prompts;
  private final GenerationServiceBlockingStub generations;
  private final JobServiceBlockingStub jobs;
  private final SystemServiceBlockingStub system;

  SakugaClient(ManagedChannel channel) {
    this.channel = channel;
    prompts = PromptServiceGrpc.newBlockingStub(channel);
    generations = GenerationServiceGrpc.newBlockingStub(channel);
    jobs = JobServiceGrpc.newBlockingStub(channel);
    system = SystemServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Connects without credentials but those in the environment.
   *
   * @param address {@code https://host:port}, {@code http://host:port}, {@code host:port}, or {@code host} for port 50051;
   *     null for {@code SAKUGA_SERVER}, or else a server on this machine
   * @return the client
   */
  public static SakugaClient connect(String address) {
    return to(address).connect();
  }

  /**
   * Prepares a connection with credentials.
   *
   * @param address as for {@link #connect}
   * @return the connection
   */
  public static Connection to(String address) {
    return new Connection(address);
  }

  /**
   * The channel, for the generated stubs of calls without a method here.
   *
   * @return the channel
   */
  public ManagedChannel channel() {
    return channel;
  }

  /**
   * Checks a prompt: every finding, the canonical form, and what each text encoder reads and cuts. An invalid prompt is an
   * answer and not an error.
   *
   * @param prompt the text of the prompt
   * @return the outcome
   */
  public ValidatePromptResponse validate(String prompt) {
    return ask(() -> prompts.validatePrompt(ValidatePromptRequest.newBuilder().setXml(prompt).build()));
  }

  /**
   * Turns text in any known envelope into the typed prompt.
   *
   * @param text the text
   * @return the prompt
   * @throws SakugaException.RequestRefused if it holds errors
   */
  public Prompt parse(String text) {
    return ask(() -> prompts.parsePrompt(ParsePromptRequest.newBuilder().setXml(text).build())).getPrompt();
  }

  /**
   * Writes a typed prompt as canonical XML.
   *
   * @param prompt the prompt
   * @return the XML
   */
  public String format(Prompt prompt) {
    return ask(() -> prompts.formatPrompt(FormatPromptRequest.newBuilder().setPrompt(prompt).build())).getCanonicalXml();
  }

  /**
   * Draws a request. Returns once the server has accepted it.
   *
   * @param request the request
   * @return the job, with its events and then its pictures
   * @throws SakugaException.RequestRefused with the fields that are wrong
   */
  public Job generate(GenerateRequest request) {
    return Job.accepted(new Source.Generate(generations, request));
  }

  /**
   * Draws a request within a time.
   *
   * @param request the request
   * @param deadline the time for everything up to the last picture
   * @return the job
   */
  public Job generate(GenerateRequest request, Duration deadline) {
    return Job.accepted(new Source.Generate(generations.withDeadlineAfter(deadline), request));
  }

  /**
   * Draws a request as a job that the server keeps, so that a lost connection loses nothing. The call is repeated until it is
   * answered, under one {@code request_id}, so it creates one job.
   *
   * @param request the request
   * @param options how the job is treated
   * @return the job
   */
  public Job create(GenerateRequest request, JobOptions options) {
    GenerateRequest named =
        request.getRequestId().isEmpty()
            ? request.toBuilder().setRequestId(UUID.randomUUID().toString()).build()
            : request;
    CreateJobRequest message = CreateJobRequest.newBuilder().setRequest(named).setOptions(options).build();
    return watch(Retry.ask(() -> jobs.createJob(message)).getJob().getJobId(), OptionalLong.empty());
  }

  /**
   * Draws a request as a job that the server keeps.
   *
   * @param request the request
   * @return the job
   */
  public Job create(GenerateRequest request) {
    return create(request, JobOptions.getDefaultInstance());
  }

  /**
   * Watches a kept job. After a lost connection the events continue over a new one.
   *
   * @param jobId the job
   * @param afterSequence the last known event, {@link Job#lastSequence}; empty for the first event on
   * @return the job
   */
  public Job watch(String jobId, OptionalLong afterSequence) {
    Long after = afterSequence.isPresent() ? afterSequence.getAsLong() : null;
    return Job.watched(new Source.Watch(this, jobs, jobId, after), jobId, after);
  }

  /**
   * The state of a kept job.
   *
   * @param jobId the job
   * @return its state
   */
  public dev.sakuga.generation.v1.Job job(String jobId) {
    return ask(() -> jobs.getJob(GetJobRequest.newBuilder().setJobId(jobId).build())).getJob();
  }

  /**
   * Visits kept jobs, the newest first. Pages are fetched as they are needed.
   *
   * @param filter which ones
   * @param visit is called for each job; false ends the visit
   */
  public void listJobs(JobFilter filter, Predicate<dev.sakuga.generation.v1.Job> visit) {
    ListJobsRequest.Builder request = ListJobsRequest.newBuilder().setFilter(filter);
    int emptyPages = 0;
    while (true) {
      ListJobsResponse page = ask(() -> jobs.listJobs(request.build()));
      for (dev.sakuga.generation.v1.Job job : page.getJobsList()) {
        if (!visit.test(job)) {
          return;
        }
      }
      emptyPages = page.getJobsCount() == 0 ? emptyPages + 1 : 0;
      // A search has empty pages. A server could send them, or the same token, forever.
      String token = page.getNextPageToken();
      if (emptyPages == EMPTY_PAGES_MAX || token.isEmpty() || token.equals(request.getPageToken())) {
        return;
      }
      request.setPageToken(token);
    }
  }

  /**
   * Cancels a kept job: at once if it waits, at its next step if it runs.
   *
   * @param jobId the job
   * @return its state
   */
  public dev.sakuga.generation.v1.Job cancel(String jobId) {
    return Retry.ask(() -> jobs.cancelJob(CancelJobRequest.newBuilder().setJobId(jobId).build())).getJob();
  }

  /**
   * Reads a picture of a completed job. After a lost connection it continues at the next byte.
   *
   * @param jobId the job
   * @param imageIndex which picture of the request
   * @return a PNG file
   */
  public byte[] artifact(String jobId, int imageIndex) {
    Retry retry = new Retry();
    Assembler.Pieces pieces = null;
    while (pieces == null || pieces.received() < pieces.total) {
      GetArtifactRequest request =
          GetArtifactRequest.newBuilder()
              .setJobId(jobId)
              .setImageIndex(imageIndex)
              .setOffset(pieces == null ? 0 : pieces.received())
              .build();
      try {
        Iterator<GetArtifactResponse> stream = jobs.getArtifact(request);
        while (stream.hasNext()) {
          ImageChunk chunk = stream.next().getChunk();
          if (pieces == null) {
            pieces = new Assembler.Pieces(imageIndex, chunk.getTotalSize());
          }
          pieces.add(chunk);
          retry.succeeded();
        }
      } catch (RuntimeException error) {
        retry.after(error);
        continue;
      }
      if (pieces == null || pieces.received() != pieces.total) {
        throw new SakugaException.Protocol("picture " + imageIndex + " ended before its last byte");
      }
    }
    return pieces.bytes();
  }

  /**
   * Samples of the device while a job ran, for the newest jobs since the start of the server.
   *
   * @param jobId the job
   * @return the samples
   */
  public GetJobTelemetryResponse telemetry(String jobId) {
    return ask(() -> jobs.getJobTelemetry(GetJobTelemetryRequest.newBuilder().setJobId(jobId).build()));
  }

  /**
   * Deletes an ended job with its pictures.
   *
   * @param jobId the job
   */
  public void delete(String jobId) {
    ask(() -> jobs.deleteJob(DeleteJobRequest.newBuilder().setJobId(jobId).build()));
  }

  /**
   * Uploads a picture (PNG, JPEG, WebP) or an adapter (safetensors). Requests name it: see {@link Images}. After a lost connection
   * it continues where it was. A file that the server has as an asset of this client is not sent again.
   *
   * @param file the file
   * @return the asset
   * @throws IOException if the file cannot be read
   */
  public Asset uploadAsset(Path file) throws IOException {
    return new Upload(AssetServiceGrpc.newStub(channel), file).run();
  }

  /**
   * Deletes an asset of this client.
   *
   * @param sha256 the asset
   */
  public void deleteAsset(String sha256) {
    DeleteAssetRequest request = DeleteAssetRequest.newBuilder().setSha256(sha256).build();
    ask(() -> AssetServiceGrpc.newBlockingStub(channel).deleteAsset(request));
  }

  /**
   * Version, device, limits and queue of the server.
   *
   * @return what the server is
   */
  public GetServerInfoResponse info() {
    return ask(() -> system.getServerInfo(GetServerInfoRequest.getDefaultInstance()));
  }

  /**
   * The models of the server.
   *
   * @return the models; the first is the default
   */
  public List<Model> models() {
    return ask(() -> system.listModels(ListModelsRequest.getDefaultInstance())).getModelsList();
  }

  /**
   * Visits samples of the device.
   *
   * @param request how often, and of which devices
   * @param visit is called for each sample; false ends the visit
   */
  public void watchDevice(WatchGpuStatsRequest request, Predicate<GpuStats> visit) {
    visit(() -> system.watchGpuStats(request), WatchGpuStatsResponse::getStats, visit);
  }

  /**
   * Visits what the server does and which processes hold the device's memory.
   *
   * @param request how often
   * @param visit is called for each state; false ends the visit
   */
  public void watchActivity(WatchActivityRequest request, Predicate<Activity> visit) {
    visit(() -> system.watchActivity(request), WatchActivityResponse::getActivity, visit);
  }

  /** Closes the connection. Calls that still run are cancelled. */
  @Override
  public void close() {
    channel.shutdownNow();
  }

  private static <T> T ask(Supplier<T> call) {
    try {
      return call.get();
    } catch (RuntimeException error) {
      throw SakugaException.explain(error);
    }
  }

  private static <R, T> void visit(Supplier<Iterator<R>> call, Function<R, T> content, Predicate<T> visit) {
    Context.CancellableContext context = Context.current().withCancellation();
    context.run(
        () -> {
          try {
            Iterator<R> stream = call.get();
            while (stream.hasNext() && visit.test(content.apply(stream.next()))) {
              // The visitor has all that is to be done.
            }
          } catch (io.grpc.StatusRuntimeException error) {
            throw SakugaException.explain(error);
          } finally {
            context.cancel(null);
          }
        });
  }
}
