package dev.sakuga;

import dev.sakuga.generation.v1.Cancelled;
import dev.sakuga.generation.v1.GenerateEvent;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.OptionalLong;

/**
 * The running job of one request: its events, and then its pictures. One thread reads it; others may cancel or close it.
 *
 * <p>Closing it before the end cancels a job of {@link SakugaClient#generate}. A job of {@link SakugaClient#create} continues,
 * and {@link SakugaClient#watch} finds it again.
 */
public final class Job implements Iterable<GenerateEvent>, AutoCloseable {
  private final Source source;
  private final String id;
  private GenerateEvent pending;
  private long next;
  private Long last;
  private long missed;
  private Assembler assembler = new Assembler();
  private List<Picture> pictures;
  private RuntimeException failure;

  private Job(Source source, String id, Long after) {
    this.source = source;
    this.id = id;
    this.next = after == null ? 0 : after + 1;
  }

  /** Reads the first event, so that a refusal is an error of the call. */
  static Job accepted(Source source) {
    GenerateEvent first = source.receive();
    if (first == null) {
      throw new SakugaException.Protocol("the stream ended before the request was accepted");
    }
    Job job = new Job(source, first.getJobId(), null);
    job.pending = first;
    return job;
  }

  static Job watched(Source source, String id, Long after) {
    return new Job(source, id, after);
  }

  /**
   * The identifier of the job.
   *
   * @return the identifier
   */
  public String id() {
    return id;
  }

  /**
   * The number of the last event, after which {@link SakugaClient#watch} can continue.
   *
   * @return the number, once there was an event
   */
  public OptionalLong lastSequence() {
    return last == null ? OptionalLong.empty() : OptionalLong.of(last);
  }

  /**
   * How many previews and statistics the server dropped because this side read too slowly.
   *
   * @return the count
   */
  public long missedEvents() {
    return missed;
  }

  /**
   * The next event.
   *
   * @return the event; null after the terminal one
   * @throws SakugaException.JobFailed for the terminal event {@code failed}
   * @throws SakugaException for a lost connection, a damaged picture or a violated protocol; no event follows an error
   */
  public GenerateEvent next() {
    if (pictures != null || failure instanceof SakugaException.JobCancelled) {
      return null;
    }
    if (failure != null) {
      throw failure;
    }
    try {
      GenerateEvent event = pending != null ? pending : source.receive();
      pending = null;
      if (event == null) {
        throw new SakugaException.Protocol("the stream ended without a terminal event");
      }
      read(event);
      last = event.getSequence();
      return event;
    } catch (RuntimeException error) {
      // After the acceptance an error is a failure of the job and not a refusal.
      failure =
          error instanceof SakugaException.RequestRefused refused && next > 0
              ? new SakugaException.JobFailed(refused.status(), refused.getCause())
              : error;
      source.close();
      throw failure;
    }
  }

  /** The events until the terminal one. It can be iterated once. */
  @Override
  public Iterator<GenerateEvent> iterator() {
    return new Iterator<>() {
      private GenerateEvent ahead;

      @Override
      public boolean hasNext() {
        if (ahead == null) {
          ahead = Job.this.next();
        }
        return ahead != null;
      }

      @Override
      public GenerateEvent next() {
        if (!hasNext()) {
          throw new NoSuchElementException();
        }
        GenerateEvent event = ahead;
        ahead = null;
        return event;
      }
    };
  }

  /**
   * Waits for the finished pictures and skips the events until then.
   *
   * @return the pictures, in the order of the request
   * @throws SakugaException.JobCancelled if the job was cancelled
   * @throws SakugaException the error that ended the job
   */
  public List<Picture> pictures() {
    while (next() != null) {
      // Only the pictures matter here.
    }
    if (pictures == null) {
      throw failure;
    }
    return pictures;
  }

  /** Cancels the job: at once if it waits, at its next step if it runs. */
  public void cancel() {
    source.cancel();
  }

  /** Closes the stream. */
  @Override
  public void close() {
    source.close();
  }

  private void read(GenerateEvent event) {
    if (event.getSequence() < next) {
      throw new SakugaException.Protocol("event " + event.getSequence() + " came after event " + (next - 1));
    }
    missed += event.getSequence() - next;
    next = event.getSequence() + 1;
    switch (event.getEventCase()) {
      case IMAGE_CHUNK -> assembler.add(event.getImageChunk(), source.fetch() != null);
      // The job starts again, so earlier pieces of pictures are void.
      case REQUEUED -> assembler = new Assembler();
      case COMPLETED -> pictures = assembler.finish(event.getCompleted().getImagesList(), source.fetch());
      case FAILED -> throw new SakugaException.JobFailed(event.getFailed(), null);
      case CANCELLED -> {
        Cancelled cancelled = event.getCancelled();
        failure = new SakugaException.JobCancelled(cancelled.getAtStep(), cancelled.getReason());
      }
      default -> {}
    }
  }
}
