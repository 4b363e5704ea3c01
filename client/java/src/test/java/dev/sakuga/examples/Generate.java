package dev.sakuga.examples;

import dev.sakuga.Job;
import dev.sakuga.SakugaClient;
import dev.sakuga.SakugaException;
import dev.sakuga.generation.v1.GenerateEvent;
import dev.sakuga.generation.v1.GenerateRequest;
import dev.sakuga.generation.v1.PreviewMethod;
import dev.sakuga.generation.v1.PreviewOptions;
import dev.sakuga.prompt.v1.Diagnostic;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Checks a prompt, draws it with previews, and writes the picture. */
public final class Generate {
  private Generate() {}

  /**
   * Draws.
   *
   * @param arguments the path of the prompt, and that of the picture
   * @throws IOException if a file cannot be read or written
   */
  public static void main(String[] arguments) throws IOException {
    String prompt = Files.readString(Path.of(arguments[0]));
    try (SakugaClient client = SakugaClient.connect(null)) {
      for (Diagnostic found : client.validate(prompt).getDiagnosticsList()) {
        System.out.printf("%d:%d %s: %s%n", found.getLine(), found.getColumn(), found.getCode(), found.getMessage());
        if (found.hasFix()) {
          System.out.println("  fix: " + found.getFix().getDescription());
        }
      }
      GenerateRequest request =
          GenerateRequest.newBuilder()
              .setXml(prompt)
              .setSeed(7)
              .setPreview(PreviewOptions.newBuilder().setMethod(PreviewMethod.PREVIEW_METHOD_LINEAR))
              .build();
      try (Job job = client.generate(request)) {
        for (GenerateEvent event : job) {
          switch (event.getEventCase()) {
            case STEP -> System.out.printf("step %d of %d%n", event.getStep().getIndex(), event.getStep().getTotal());
            case PREVIEW -> System.out.printf("preview of %d bytes%n", event.getPreview().getData().size());
            case GPU_STATS ->
                System.out.printf(
                    "%s: %d bytes in use%n", event.getGpuStats().getName(), event.getGpuStats().getMemoryUsedBytes());
            default -> {}
          }
        }
        job.pictures().get(0).save(Path.of(arguments[1]));
      } catch (SakugaException.RequestRefused refused) {
        refused.retryAfter().ifPresent(time -> System.err.println("try again in " + time));
        throw refused;
      }
    }
  }
}
