package dev.sakuga.examples;

import dev.sakuga.Images;
import dev.sakuga.Job;
import dev.sakuga.SakugaClient;
import dev.sakuga.asset.v1.Asset;
import dev.sakuga.generation.v1.Box;
import dev.sakuga.generation.v1.GenerateRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Uploads a picture and draws a rectangle of it again. */
public final class Inpaint {
  private Inpaint() {}

  /**
   * Draws.
   *
   * @param arguments the paths of the prompt, of the picture, and of the changed picture
   * @throws IOException if a file cannot be read or written
   */
  public static void main(String[] arguments) throws IOException {
    try (SakugaClient client = SakugaClient.connect(null)) {
      Asset asset = client.uploadAsset(Path.of(arguments[1]));
      int width = asset.getPicture().getWidth();
      int height = asset.getPicture().getHeight();
      GenerateRequest.Builder request =
          GenerateRequest.newBuilder()
              .setXml(Files.readString(Path.of(arguments[0])))
              .setWidth(width)
              .setHeight(height);
      Images.from(request, Images.uploaded(asset), 0.8f);
      Images.inpaint(
          request,
          Box.newBuilder().setLeft(width / 4).setTop(height / 4).setWidth(width / 2).setHeight(height / 2).build());
      try (Job job = client.generate(request.build())) {
        job.pictures().get(0).save(Path.of(arguments[2]));
      }
    }
  }
}
