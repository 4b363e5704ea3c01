package dev.sakuga;

import io.grpc.Status;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Supplier;

/** Waits between attempts, longer each time, and throws the error after the last. */
final class Retry {
  /** Together with the waits half a minute to a minute, longer than most servers take to restart. */
  private static final int ATTEMPTS_MAX = 12;

  private static final long FIRST_WAIT_MS = 100;
  private static final long WAIT_MAX_MS = 10_000;

  private int failures;

  /** Waits if another attempt can help, and otherwise throws the error. */
  void after(RuntimeException error) {
    SakugaException known = SakugaException.explain(error);
    boolean passes =
        known instanceof SakugaException.ConnectionLost
            || known instanceof SakugaException.RequestRefused refused && refused.code() == Status.Code.UNAVAILABLE;
    failures++;
    if (failures >= ATTEMPTS_MAX || !passes) {
      throw known;
    }
    // Jitter, so that not all clients of a restarted server reconnect at one moment.
    double share = ThreadLocalRandom.current().nextDouble(0.5, 1.0);
    try {
      Thread.sleep((long) (Math.min(WAIT_MAX_MS, FIRST_WAIT_MS << failures) * share));
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw known;
    }
  }

  /** Resets the count of failures. */
  void succeeded() {
    failures = 0;
  }

  /** A call that may be repeated until it is answered. */
  static <T> T ask(Supplier<T> call) {
    Retry retry = new Retry();
    while (true) {
      try {
        return call.get();
      } catch (RuntimeException error) {
        retry.after(error);
      }
    }
  }
}
