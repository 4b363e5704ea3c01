package dev.sakuga;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.sakuga.asset.v1.Asset;
import dev.sakuga.asset.v1.AssetServiceGrpc;
import dev.sakuga.asset.v1.UploadAssetRequest;
import dev.sakuga.asset.v1.UploadAssetResponse;
import dev.sakuga.asset.v1.UploadStart;
import dev.sakuga.generation.v1.Box;
import dev.sakuga.generation.v1.CancelReason;
import dev.sakuga.generation.v1.GenerateEvent;
import dev.sakuga.generation.v1.GenerateRequest;
import dev.sakuga.generation.v1.JobFilter;
import dev.sakuga.generation.v1.JobState;
import dev.sakuga.generation.v1.PreviewMethod;
import dev.sakuga.generation.v1.PreviewOptions;
import dev.sakuga.generation.v1.Sampling;
import dev.sakuga.prompt.v1.Diagnostic;
import dev.sakuga.prompt.v1.ValidatePromptResponse;
import dev.sakuga.system.v1.WatchGpuStatsRequest;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;

/** Drives the servers that {@code cargo xtask test languages} starts. */
class SakugaClientTest {
  private static final String SERVER = "SAKUGA_TEST_SERVER";
  private static final String JAVA = Path.of(System.getProperty("java.home"), "bin", "java").toString();
  private static final String TLS_SERVER = "SAKUGA_TEST_TLS_SERVER";
  private static final String PROMPT =
      "<character_1><n>$character_1$</n><gender>1girl</gender><appearance>blue_hair</appearance></character_1>";

  private static SakugaClient connect() {
    return SakugaClient.connect(System.getenv(SERVER));
  }

  private static GenerateRequest.Builder request(int steps) {
    return GenerateRequest.newBuilder()
        .setXml(PROMPT)
        .setSeed(7)
        .setWidth(64)
        .setHeight(64)
        .setSampling(Sampling.newBuilder().setSteps(steps));
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void validationNamesPlaceAndFix() {
    try (SakugaClient client = connect()) {
      ValidatePromptResponse report = client.validate(PROMPT.replace("appearance>", "appearence>"));
      assertTrue(report.getValid());
      Diagnostic found = report.getDiagnostics(0);
      assertEquals("unknown-element", found.getCode());
      assertEquals(1, found.getLine());
      assertTrue(found.getColumn() > 1);
      assertEquals("appearance", found.getFix().getEdits(0).getReplacement());
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void aGenerationSendsPreviewsStatisticsAndThePicture() {
    GenerateRequest request =
        request(20)
            .setPreview(PreviewOptions.newBuilder().setMethod(PreviewMethod.PREVIEW_METHOD_LINEAR))
            .setGpuStatsIntervalMs(100)
            .build();
    try (SakugaClient client = connect();
        Job job = client.generate(request)) {
      Map<GenerateEvent.EventCase, Integer> counts = new EnumMap<>(GenerateEvent.EventCase.class);
      for (GenerateEvent event : job) {
        counts.merge(event.getEventCase(), 1, Integer::sum);
      }
      assertEquals(20, counts.get(GenerateEvent.EventCase.STEP));
      assertTrue(counts.getOrDefault(GenerateEvent.EventCase.PREVIEW, 0) > 0, counts::toString);
      assertTrue(counts.getOrDefault(GenerateEvent.EventCase.GPU_STATS, 0) > 0, counts::toString);
      Picture picture = job.pictures().get(0);
      assertEquals('P', picture.data()[1]);
      assertEquals(64, picture.info().getWidth());
      assertEquals(7, picture.info().getMetadata().getSeed());
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void aCancelledJobEndsAsCancelled() {
    try (SakugaClient client = connect();
        Job job = client.create(request(200).build())) {
      for (GenerateEvent event : job) {
        if (event.getStep().getIndex() == 2) {
          job.cancel();
        }
      }
      SakugaException.JobCancelled cancelled = assertThrows(SakugaException.JobCancelled.class, job::pictures);
      assertTrue(cancelled.atStep >= 2);
      assertEquals(CancelReason.CANCEL_REASON_REQUESTED, cancelled.reason);
      assertEquals(JobState.JOB_STATE_CANCELLED, client.job(job.id()).getState());
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void anotherClientResumesAfterAnEvent() {
    String id;
    OptionalLong last;
    try (SakugaClient client = connect();
        Job job = client.create(request(12).build())) {
      id = job.id();
      while (job.next().getStep().getIndex() != 3) {
        // Until the third step.
      }
      last = job.lastSequence();
    }
    try (SakugaClient client = connect();
        Job job = client.watch(id, last)) {
      assertTrue(job.next().getSequence() > last.getAsLong());
      assertEquals(1, job.pictures().size());
      // The pieces of the picture were sent before this event, so the picture is fetched.
      OptionalLong end = OptionalLong.of(client.job(id).getNextSequence() - 2);
      try (Job ended = client.watch(id, end)) {
        assertArrayEquals(job.pictures().get(0).data(), ended.pictures().get(0).data());
      }
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void eventsContinueAfterACut() throws IOException {
    URI server = URI.create(System.getenv(SERVER));
    AtomicInteger connections = new AtomicInteger();
    try (ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      start(() -> forward(listener, server, connections));
      try (SakugaClient client = SakugaClient.connect("http://127.0.0.1:" + listener.getLocalPort());
          Job job = client.create(request(60).build())) {
        List<Integer> steps = new ArrayList<>();
        for (GenerateEvent event : job) {
          if (event.hasStep()) {
            steps.add(event.getStep().getIndex());
          }
        }
        assertEquals(IntStream.rangeClosed(1, 60).boxed().toList(), steps);
        assertEquals(1, job.pictures().size());
        assertTrue(connections.get() >= 2);
      }
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void aRefusalIsDecoded() {
    GenerateRequest wrong =
        request(999).setXml("<character_1><gender>robot</gender></character_1>").build();
    try (SakugaClient client = connect()) {
      SakugaException.RequestRefused refused =
          assertThrows(SakugaException.RequestRefused.class, () -> client.generate(wrong));
      assertEquals(Status.Code.INVALID_ARGUMENT, refused.code());
      assertEquals("INVALID_REQUEST", refused.reason());
      assertEquals("sakuga.dev", refused.domain());
      assertTrue(refused.violations().stream().anyMatch(found -> found.field().equals("sampling.steps")));
      assertTrue(refused.violations().size() >= 2, refused.getMessage());
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void aFullServerSaysWhenToTryAgain() {
    List<Job> jobs = new ArrayList<>();
    try (SakugaClient client = connect()) {
      SakugaException.RequestRefused refused =
          assertThrows(
              SakugaException.RequestRefused.class,
              () -> {
                for (int count = 0; count < 64; count++) {
                  jobs.add(client.generate(request(200).build()));
                }
              });
      assertEquals(Status.Code.RESOURCE_EXHAUSTED, refused.code());
      assertTrue(refused.retryAfter().orElseThrow().toMillis() > 0);
      jobs.forEach(Job::close);
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void jobsAreListedReadAndDeleted() {
    try (SakugaClient client = connect();
        Job job = client.create(request(1).build())) {
      assertArrayEquals(job.pictures().get(0).data(), client.artifact(job.id(), 0));
      List<String> listed = new ArrayList<>();
      client.listJobs(JobFilter.getDefaultInstance(), kept -> listed.add(kept.getJobId()));
      assertTrue(listed.contains(job.id()));
      client.delete(job.id());
      SakugaException.RequestRefused gone =
          assertThrows(SakugaException.RequestRefused.class, () -> client.job(job.id()));
      assertEquals("JOB_NOT_FOUND", gone.reason());
      client.watchDevice(
          WatchGpuStatsRequest.getDefaultInstance(),
          sample -> {
            assertFalse(sample.getName().isEmpty());
            return false;
          });
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = TLS_SERVER, matches = ".+")
  void tlsWithAToken() throws IOException {
    byte[] ca = Files.readAllBytes(Path.of(System.getenv("SAKUGA_TEST_CA")));
    String token = System.getenv("SAKUGA_TEST_TOKEN");
    try (SakugaClient client = SakugaClient.to(System.getenv(TLS_SERVER)).ca(ca).token(token).connect();
        Job job = client.generate(request(2).build())) {
      assertEquals(1, job.pictures().size());
    }
    try (SakugaClient client = SakugaClient.to(System.getenv(TLS_SERVER)).ca(ca).connect()) {
      SakugaException.RequestRefused refused =
          assertThrows(SakugaException.RequestRefused.class, client::models);
      assertEquals("TOKEN_MISSING", refused.reason());
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void theExamplesRun(@TempDir Path folder) throws Exception {
    Path prompt = Files.writeString(folder.resolve("prompt.xml"), PROMPT);
    Path picture = folder.resolve("picture.png");
    Path changed = folder.resolve("changed.png");
    runExample("Generate", prompt, picture);
    assertTrue(Files.size(picture) > 100);
    runExample("Inpaint", prompt, picture, changed);
    assertTrue(Files.size(changed) > 100);
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void theLinesOfTheReadmeDraw(@TempDir Path folder) throws Exception {
    Matcher block = Pattern.compile("^```java\n(.*?)^```$", Pattern.MULTILINE | Pattern.DOTALL)
        .matcher(Files.readString(Path.of("README.md")));
    assertTrue(block.find(), "README.md has no Java program");
    String body = block.group(1).substring(block.group(1).indexOf("main("));
    long statements = body.lines().skip(1).filter(line -> !line.isBlank() && !line.strip().equals("}")).count();
    assertTrue(statements <= 10, body);
    Path program = Files.writeString(folder.resolve("Girl.java"), block.group(1));
    ProcessBuilder run = new ProcessBuilder(JAVA, "-cp", System.getProperty("java.class.path"), program.toString());
    run.directory(folder.toFile()).redirectErrorStream(true).environment().put("SAKUGA_SERVER", System.getenv(SERVER));
    Process running = run.start();
    String output = new String(running.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, running.waitFor(), output);
    assertTrue(output.contains("step 1 of "), output);
    assertTrue(Files.size(folder.resolve("girl.png")) > 100);
  }

  private static void runExample(String name, Path... files) throws Exception {
    List<String> command =
        new ArrayList<>(List.of(JAVA, "-cp", System.getProperty("java.class.path"), "dev.sakuga.examples." + name));
    for (Path file : files) {
      command.add(file.toString());
    }
    ProcessBuilder example = new ProcessBuilder(command);
    example.environment().put("SAKUGA_SERVER", System.getenv(SERVER));
    example.redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(ProcessBuilder.Redirect.DISCARD);
    assertEquals(0, example.start().waitFor(), name);
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void imagesAreUploadedAndInpainted(@TempDir Path folder) throws Exception {
    try (SakugaClient client = connect()) {
      Path file = folder.resolve("girl.png");
      try (Job job = client.generate(request(1).build())) {
        job.pictures().get(0).save(file);
      }
      Asset asset = client.uploadAsset(file);
      assertEquals(64, asset.getPicture().getWidth());
      GenerateRequest.Builder changed = Images.from(request(4), Images.uploaded(asset), 0.5f);
      Images.inpaint(changed, Box.newBuilder().setLeft(16).setTop(16).setWidth(32).setHeight(32).build());
      try (Job job = client.generate(changed.build())) {
        GenerateRequest resolved = job.pictures().get(0).info().getMetadata().getRequest();
        assertEquals(asset.getSha256(), resolved.getInit().getImage().getAsset());
        assertEquals(1, resolved.getMask().getBoxesCount());
      }
      // A mask needs an image to begin from.
      GenerateRequest alone = Images.inpaint(request(1), Images.inline(Files.readAllBytes(file)), 4).build();
      assertThrows(SakugaException.RequestRefused.class, () -> client.generate(alone));
      client.deleteAsset(asset.getSha256());
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = SERVER, matches = ".+")
  void anUploadContinuesWhereItWas(@TempDir Path folder) throws Exception {
    byte[] file = tensors(600_000);
    Path path = Files.write(folder.resolve("adapter.safetensors"), file);
    String sha256 = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(file));
    try (SakugaClient client = connect()) {
      CompletableFuture<Throwable> refused = new CompletableFuture<>();
      StreamObserver<UploadAssetRequest> call =
          AssetServiceGrpc.newStub(client.channel())
              .uploadAsset(
                  new StreamObserver<>() {
                    @Override
                    public void onNext(UploadAssetResponse response) {}

                    @Override
                    public void onError(Throwable error) {
                      refused.complete(error);
                    }

                    @Override
                    public void onCompleted() {
                      refused.complete(null);
                    }
                  });
      UploadStart start = UploadStart.newBuilder().setSha256(sha256).setSize(file.length).build();
      call.onNext(UploadAssetRequest.newBuilder().setStart(start).build());
      call.onNext(UploadAssetRequest.newBuilder().setData(ByteString.copyFrom(file, 0, 100_000)).build());
      call.onCompleted();
      assertEquals(Status.Code.OUT_OF_RANGE, Status.fromThrowable(refused.get()).getCode());
      Asset asset = client.uploadAsset(path);
      assertEquals(sha256, asset.getSha256());
      assertEquals(1, asset.getTensors().getTensors());
      assertEquals(sha256, Images.adapter(asset, 0.5f).getSha256());
      client.deleteAsset(sha256);
      assertThrows(IOException.class, () -> client.uploadAsset(folder.resolve("missing")));
    }
  }

  /** A safetensors file with so many bytes of data. */
  private static byte[] tensors(int size) {
    byte[] header =
        String.format("{\"a\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]}}", size, size)
            .getBytes(StandardCharsets.US_ASCII);
    ByteBuffer file = ByteBuffer.allocate(8 + header.length + size).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(header.length).put(header);
    for (int i = 0; i < size; i++) {
      file.put((byte) (i * i / 7));
    }
    return file.array();
  }

  @Test
  void aTokenIsNotSentUnencryptedAndWrongAddressesAreNamed() {
    Connection clear = SakugaClient.to("gpu-box:50051").token("secret");
    assertThrows(SakugaException.Address.class, clear::connect);
    for (String wrong : List.of("ftp://host", "http://user:secret@host", "http://host/path", "http://")) {
      SakugaException.Address error =
          assertThrows(SakugaException.Address.class, () -> SakugaClient.connect(wrong), wrong);
      assertFalse(error.getMessage().contains("secret"));
    }
  }

  /** Forwards connections and cuts the first one after some bytes from the server. */
  private static void forward(ServerSocket listener, URI server, AtomicInteger connections) throws IOException {
    while (!listener.isClosed()) {
      Socket client = listener.accept();
      Socket upstream = new Socket(server.getHost(), server.getPort());
      long limit = connections.incrementAndGet() == 1 ? 3000 : Long.MAX_VALUE;
      start(() -> copy(client, upstream, Long.MAX_VALUE));
      start(() -> copy(upstream, client, limit));
    }
  }

  private static void copy(Socket from, Socket to, long limit) throws IOException {
    try (from;
        to) {
      InputStream in = from.getInputStream();
      OutputStream out = to.getOutputStream();
      byte[] buffer = new byte[1024];
      long left = limit;
      int length;
      while (left > 0 && (length = in.read(buffer)) > 0) {
        out.write(buffer, 0, length);
        left -= length;
      }
    }
  }

  private interface Task {
    void run() throws IOException;
  }

  private static void start(Task task) {
    Thread thread =
        new Thread(
            () -> {
              try {
                task.run();
              } catch (IOException ended) {
                // The other side has ended.
              }
            });
    thread.setDaemon(true);
    thread.start();
  }
}
