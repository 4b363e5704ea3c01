package dev.sakuga;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** How to connect to a server. Environment variables stand in for what is not set. */
public final class Connection {
  /** Where a server listens by default. */
  public static final String DEFAULT_ADDRESS = "http://127.0.0.1:50051";

  // A preview is one message: 2048 by 2048 pixels of noise as PNG are 12 MiB.
  private static final int MESSAGE_BYTES_MAX = 32 << 20;

  private final Address address;
  private String token = System.getenv("SAKUGA_TOKEN");
  private byte[] ca;
  private byte[] certificate;
  private byte[] key;

  Connection(String address) {
    String variable = Optional.ofNullable(System.getenv("SAKUGA_SERVER")).filter(text -> !text.isEmpty()).orElse(null);
    String given = address != null ? address : variable != null ? variable : DEFAULT_ADDRESS;
    this.address = Address.parse(given);
  }

  /**
   * Adds a token to every call; by default the one in {@code SAKUGA_TOKEN}. It is sent over TLS or to the loopback, never
   * unencrypted to another machine.
   *
   * @param token the token
   * @return this
   */
  public Connection token(String token) {
    this.token = token;
    return this;
  }

  /**
   * The CAs that sign the server's certificate; by default those in the file {@code SAKUGA_CA}, or else Java's.
   *
   * @param pem certificates in PEM
   * @return this
   */
  public Connection ca(byte[] pem) {
    ca = pem.clone();
    return this;
  }

  /**
   * The certificate for a server that requires one.
   *
   * @param certificatePem the certificate in PEM
   * @param keyPem its private key in PEM
   * @return this
   */
  public Connection identity(byte[] certificatePem, byte[] keyPem) {
    certificate = certificatePem.clone();
    key = keyPem.clone();
    return this;
  }

  /**
   * The client. It connects at the first call.
   *
   * @return the client
   * @throws SakugaException.Address if a credential cannot be used
   */
  public SakugaClient connect() {
    return new SakugaClient(channel());
  }

  private ManagedChannel channel() {
    String word = token == null ? "" : token.strip();
    if (!word.isEmpty() && !word.matches("[!-~]+")) {
      throw wrong("a token is one word of visible ASCII characters", null);
    }
    if (!address.isEncrypted() && (ca != null || certificate != null)) {
      throw wrong("certificates need TLS; write `https://host:port` in place of " + address, null);
    }
    if (!address.isEncrypted() && !word.isEmpty() && !address.isLoopback()) {
      throw wrong("a token is not sent unencrypted to " + address + "; write `https://host:port`", null);
    }
    ManagedChannelBuilder<?> builder =
        Grpc.newChannelBuilderForAddress(address.host(), address.port(), credentials())
            .userAgent("sakuga-java")
            .maxInboundMessageSize(MESSAGE_BYTES_MAX)
            .keepAliveTime(20, TimeUnit.SECONDS)
            .keepAliveTimeout(20, TimeUnit.SECONDS);
    if (address.isLoopback()) {
      // A proxy cannot reach the loopback of this machine, and would read what is not encrypted.
      builder.proxyDetector(target -> null);
    }
    if (!word.isEmpty()) {
      Metadata headers = new Metadata();
      headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + word);
      builder.intercept(MetadataUtils.newAttachHeadersInterceptor(headers));
    }
    return builder.build();
  }

  private ChannelCredentials credentials() {
    if (!address.isEncrypted()) {
      return InsecureChannelCredentials.create();
    }
    TlsChannelCredentials.Builder tls = TlsChannelCredentials.newBuilder();
    try {
      String file = System.getenv("SAKUGA_CA");
      byte[] trusted = ca != null || file == null || file.isEmpty() ? ca : Files.readAllBytes(Path.of(file));
      for (byte[] pem : new byte[][] {trusted, certificate, key}) {
        if (pem != null && !new String(pem, StandardCharsets.ISO_8859_1).contains("-----BEGIN ")) {
          throw wrong("a certificate or key is not PEM: it has no line `-----BEGIN`", null);
        }
      }
      if (trusted != null) {
        tls.trustManager(new ByteArrayInputStream(trusted));
      }
      if (certificate != null) {
        tls.keyManager(new ByteArrayInputStream(certificate), new ByteArrayInputStream(key));
      }
    } catch (IOException error) {
      throw wrong("a certificate or key cannot be read: " + error.getMessage(), error);
    }
    return tls.build();
  }

  private static SakugaException.Address wrong(String message, Throwable cause) {
    return new SakugaException.Address(message, cause);
  }
}
