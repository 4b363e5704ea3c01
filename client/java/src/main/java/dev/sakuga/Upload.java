package dev.sakuga;

import com.google.protobuf.ByteString;
import dev.sakuga.asset.v1.Asset;
import dev.sakuga.asset.v1.AssetServiceGrpc.AssetServiceStub;
import dev.sakuga.asset.v1.UploadAssetRequest;
import dev.sakuga.asset.v1.UploadAssetResponse;
import dev.sakuga.asset.v1.UploadStart;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** A file that is sent piece by piece, from where the server says on. */
final class Upload {
  /** Bytes of a message: as many as the server takes. */
  private static final int PIECE_BYTES = 256 << 10;

  /** Calls after which the server has no more bytes than before. */
  private static final int RESTARTS_MAX = 12;

  private final AssetServiceStub stub;
  private final Path file;
  private final UploadStart.Builder start = UploadStart.newBuilder();

  Upload(AssetServiceStub stub, Path file) throws IOException {
    this.stub = stub;
    this.file = file;
    MessageDigest hash;
    try {
      hash = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException missing) {
      throw new IllegalStateException("every Java platform has SHA-256", missing);
    }
    try (InputStream content = new DigestInputStream(Files.newInputStream(file), hash)) {
      byte[] piece = new byte[PIECE_BYTES];
      long size = 0;
      for (int count = content.read(piece); count >= 0; count = content.read(piece)) {
        size += count;
      }
      start.setSize(size);
    }
    start.setSha256(HexFormat.of().formatHex(hash.digest()));
  }

  /** Sends the file, in as many calls as are needed. */
  Asset run() throws IOException {
    Retry retry = new Retry();
    int restarts = 0;
    while (true) {
      try {
        return call();
      } catch (RuntimeException error) {
        OptionalLong held = held(SakugaException.explain(error));
        restarts = held.isPresent() && held.getAsLong() > start.getOffset() ? 0 : restarts + 1;
        if (held.isEmpty() || restarts >= RESTARTS_MAX) {
          retry.after(error);
        } else {
          start.setOffset(held.getAsLong());
        }
      }
    }
  }

  /** Makes one call. */
  private Asset call() throws IOException {
    try (InputStream content = Files.newInputStream(file)) {
      content.skipNBytes(start.getOffset());
      Sender sender = new Sender(content, start.build());
      stub.uploadAsset(sender);
      try {
        return sender.answer.join().getAsset();
      } catch (CompletionException error) {
        if (error.getCause() instanceof IOException unreadable) {
          throw unreadable;
        }
        throw error.getCause() instanceof RuntimeException known ? known : error;
      }
    }
  }

  /** The bytes that the server has of an unfinished upload, if the error says where the next call begins. */
  private OptionalLong held(SakugaException error) {
    boolean continues =
        error instanceof SakugaException.RequestRefused refused
            && (refused.reason().equals("UPLOAD_OFFSET") || refused.reason().equals("UPLOAD_IDLE"));
    if (!continues) {
      return OptionalLong.empty();
    }
    try {
      long held = Long.parseLong(((SakugaException.RequestRefused) error).metadata().getOrDefault("offset", ""));
      return held >= 0 && held <= start.getSize() ? OptionalLong.of(held) : OptionalLong.empty();
    } catch (NumberFormatException unknown) {
      return OptionalLong.empty();
    }
  }

  /** Sends the pieces of one call as fast as the connection takes them. */
  private static final class Sender implements ClientResponseObserver<UploadAssetRequest, UploadAssetResponse> {
    private final CompletableFuture<UploadAssetResponse> answer = new CompletableFuture<>();
    private final InputStream content;
    private final UploadStart start;
    private boolean isStarted;
    private boolean isDone;

    Sender(InputStream content, UploadStart start) {
      this.content = content;
      this.start = start;
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<UploadAssetRequest> call) {
      call.setOnReadyHandler(() -> send(call));
    }

    private void send(ClientCallStreamObserver<UploadAssetRequest> call) {
      try {
        while (!isDone && call.isReady()) {
          UploadAssetRequest.Builder message = UploadAssetRequest.newBuilder();
          if (!isStarted) {
            isStarted = true;
            call.onNext(message.setStart(start).build());
            continue;
          }
          byte[] piece = content.readNBytes(PIECE_BYTES);
          if (piece.length == 0) {
            isDone = true;
            call.onCompleted();
          } else {
            call.onNext(message.setData(ByteString.copyFrom(piece)).build());
          }
        }
      } catch (IOException unreadable) {
        isDone = true;
        answer.completeExceptionally(unreadable);
        call.cancel("the file cannot be read", unreadable);
      }
    }

    @Override
    public void onNext(UploadAssetResponse response) {
      answer.complete(response);
    }

    @Override
    public void onError(Throwable error) {
      isDone = true;
      answer.completeExceptionally(error);
    }

    @Override
    public void onCompleted() {
      answer.completeExceptionally(new SakugaException.Protocol("the answer to an upload has no asset"));
    }
  }
}
