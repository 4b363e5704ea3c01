package dev.sakuga;

import com.google.protobuf.ByteString;
import dev.sakuga.generation.v1.ImageChunk;
import dev.sakuga.generation.v1.ImageInfo;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;

/** Puts pictures together from their pieces, and rejects what does not fit. */
final class Assembler {
  /** The most bytes that the pictures of one job may have together. */
  static final long BYTES_MAX = 1L << 30;

  private static final int PICTURES_MAX = 1024;

  private final Map<Integer, Pieces> parts = new HashMap<>();

  /** Bytes that arrive in order, of a total that is known from the first piece. */
  static final class Pieces {
    private final int index;
    final long total;
    private ByteString data = ByteString.EMPTY;

    Pieces(int index, long total) {
      if (total <= 0 || total > BYTES_MAX) {
        throw new SakugaException.DamagedPicture(index, "it is empty, or has more than " + BYTES_MAX + " bytes");
      }
      this.index = index;
      this.total = total;
    }

    void add(ImageChunk chunk) {
      boolean fits = data.size() + (long) chunk.getData().size() <= total;
      if (chunk.getOffset() != data.size() || chunk.getTotalSize() != total || !fits) {
        throw new SakugaException.DamagedPicture(
            index, data.size() + " of " + total + " bytes arrived, and the next piece does not continue them");
      }
      data = data.concat(chunk.getData());
    }

    int received() {
      return data.size();
    }

    byte[] bytes() {
      return data.toByteArray();
    }
  }

  /** Takes the next piece. With {@code canFetch} a picture whose beginning is missing is left out; it is fetched later. */
  void add(ImageChunk chunk, boolean canFetch) {
    Pieces part = parts.get(chunk.getImageIndex());
    if (part == null) {
      if (canFetch && chunk.getOffset() > 0) {
        return;
      }
      long announced = parts.values().stream().mapToLong(other -> other.total).sum() + chunk.getTotalSize();
      if (parts.size() >= PICTURES_MAX || announced > BYTES_MAX) {
        throw new SakugaException.DamagedPicture(
            chunk.getImageIndex(), "the server announced more than " + BYTES_MAX + " bytes, or too many pictures");
      }
      part = new Pieces(chunk.getImageIndex(), chunk.getTotalSize());
      parts.put(chunk.getImageIndex(), part);
    }
    part.add(chunk);
  }

  /** Checks the pictures against their descriptions. {@code fetch} reads those whose pieces are missing; may be null. */
  List<Picture> finish(List<ImageInfo> images, IntFunction<byte[]> fetch) {
    if (images.isEmpty()) {
      throw new SakugaException.Protocol("the job is completed and has no picture");
    }
    List<Picture> pictures = new ArrayList<>();
    for (int position = 0; position < images.size(); position++) {
      ImageInfo info = images.get(position);
      // A job may have drawn a part of its batch.
      int index = info.hasMetadata() ? info.getMetadata().getImageIndex() : position;
      Pieces part = parts.get(index);
      byte[] data = part != null ? part.bytes() : fetch != null ? fetch.apply(index) : new byte[0];
      String sum = sha256(data);
      if (data.length != info.getSize() || !sum.equalsIgnoreCase(info.getSha256())) {
        throw new SakugaException.DamagedPicture(
            index,
            data.length + " bytes of SHA-256 " + sum + " arrived; the server named " + info.getSize() + " bytes of "
                + info.getSha256());
      }
      pictures.add(new Picture(index, data, info));
    }
    return List.copyOf(pictures);
  }

  private static String sha256(byte[] data) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
    } catch (NoSuchAlgorithmException missing) {
      throw new IllegalStateException("every Java has SHA-256", missing);
    }
  }
}
