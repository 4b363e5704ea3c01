package dev.sakuga;

import dev.sakuga.generation.v1.ImageInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * One finished picture. Its checksum was compared with the server's.
 *
 * @param index its index in the batch, from 0
 * @param data the PNG file
 * @param info size, checksums and metadata; the request in the metadata, sent again, draws the same picture on the same device
 */
public record Picture(int index, byte[] data, ImageInfo info) {
  /**
   * Writes the file.
   *
   * @param path where to
   * @throws IOException if it cannot be written
   */
  public void save(Path path) throws IOException {
    Files.write(path, data);
  }
}
