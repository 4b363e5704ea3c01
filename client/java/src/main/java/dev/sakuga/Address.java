package dev.sakuga;

import java.net.URI;
import java.net.URISyntaxException;

/**
 * Where a server is.
 *
 * @param host its name or number
 * @param port its port
 * @param isEncrypted whether the connection is encrypted
 */
record Address(String host, int port, boolean isEncrypted) {
  private static final int DEFAULT_PORT = 50051;

  /** Reads {@code https://host:port}, {@code http://host:port}, {@code host:port}, or {@code host} for port 50051. */
  static Address parse(String text) {
    String given = text.strip();
    if (given.contains("@")) {
      // Checked first, so that no other message repeats a password.
      throw new SakugaException.Address(
          "a server address has no user and no password; remove everything before `@`", null);
    }
    URI uri;
    try {
      uri = new URI(given.contains("://") ? given : "http://" + given);
    } catch (URISyntaxException error) {
      throw wrong(given, "write `http://host:port`");
    }
    if (!"http".equals(uri.getScheme()) && !"https".equals(uri.getScheme())) {
      throw wrong(given, "write `http://host:port` or `https://host:port`");
    }
    if (uri.getHost() == null) {
      throw wrong(given, "it has no host; write `http://host:port`");
    }
    boolean hasPath = uri.getPath() != null && !uri.getPath().isEmpty() && !uri.getPath().equals("/");
    if (hasPath || uri.getQuery() != null || uri.getFragment() != null) {
      throw wrong(given, "a gRPC server has no path; write only `http://host:port`");
    }
    int port = uri.getPort() < 0 ? DEFAULT_PORT : uri.getPort();
    return new Address(uri.getHost(), port, "https".equals(uri.getScheme()));
  }

  /** Whether nothing sent there leaves this machine. */
  boolean isLoopback() {
    return host.equals("localhost") || host.equals("[::1]") || host.matches("127\\.\\d+\\.\\d+\\.\\d+");
  }

  @Override
  public String toString() {
    return (isEncrypted ? "https://" : "http://") + host + ":" + port;
  }

  private static SakugaException.Address wrong(String text, String reason) {
    return new SakugaException.Address("`" + text + "` is not a server address: " + reason, null);
  }
}
