package sakuga

import (
	"errors"
	"fmt"
	"io"
	"iter"

	generationv1 "sakuga.dev/go/generation/v1"
)

// source are the events of one job.
type source interface {
	// receive returns the next event, and io.EOF at the end.
	receive() (*generationv1.GenerateEvent, error)
	// cancel asks for the end of the job.
	cancel() error
	// close ends the stream.
	close()
	// fetch reads a finished picture of the job; canFetch reports whether the server keeps it.
	fetch(index uint32) ([]byte, error)
	canFetch() bool
}

// Job is the running job of one request. It is used by one goroutine at a time, except for Cancel and Close.
//
// Closing it before the end cancels a job of Client.Generate. A job of Client.Create continues, and Client.Watch finds it
// again.
type Job struct {
	// ID identifies the job.
	ID string

	source    source
	pending   *generationv1.GenerateEvent
	next      uint64
	last      *uint64
	missed    uint64
	assembler assembler
	pictures  []Picture
	err       error
}

// accepted reads the first event, so that a refusal is an error of the call.
func accepted(from source) (*Job, error) {
	job := &Job{source: from}
	event, err := job.advance()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: the stream ended before the request was accepted", ErrProtocol)
		}
		return nil, err
	}
	job.ID, job.pending = event.GetJobId(), event
	return job, nil
}

// Next returns the next event, and io.EOF after the terminal one.
//
// The terminal event `failed` is an *Error with Accepted. Other errors say that the connection was lost, that a picture is
// damaged, or that the protocol was broken. No event follows an error.
func (j *Job) Next() (*generationv1.GenerateEvent, error) {
	event := j.pending
	j.pending = nil
	if event == nil {
		var err error
		if event, err = j.advance(); err != nil {
			return nil, err
		}
	}
	sequence := event.GetSequence()
	j.last = &sequence
	return event, nil
}

// Events ranges over the events until the terminal one, or the first error.
func (j *Job) Events() iter.Seq2[*generationv1.GenerateEvent, error] {
	return func(yield func(*generationv1.GenerateEvent, error) bool) {
		for {
			event, err := j.Next()
			if errors.Is(err, io.EOF) || !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// Pictures waits for the finished pictures and skips the events until then.
func (j *Job) Pictures() ([]Picture, error) {
	for {
		if _, err := j.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	if j.pictures == nil {
		return nil, j.err
	}
	return j.pictures, nil
}

// LastSequence is the number of the last event, after which Client.Watch can continue. It is nil before the first.
func (j *Job) LastSequence() *uint64 { return j.last }

// MissedEvents is how many previews and statistics the server dropped because this side read too slowly.
func (j *Job) MissedEvents() uint64 { return j.missed }

// Cancel cancels the job: at once if it waits, at its next step if it runs.
func (j *Job) Cancel() error { return j.source.cancel() }

// Close closes the stream.
func (j *Job) Close() { j.source.close() }

// advance reads and checks one event.
func (j *Job) advance() (*generationv1.GenerateEvent, error) {
	if j.pictures != nil {
		return nil, io.EOF
	}
	if j.err != nil {
		var cancelled *CancelledError
		if errors.As(j.err, &cancelled) {
			return nil, io.EOF
		}
		return nil, j.err
	}
	event, err := j.source.receive()
	if err == nil {
		err = j.read(event)
	} else if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: the stream ended without a terminal event", ErrProtocol)
	}
	if err != nil {
		var refused *Error
		if errors.As(err, &refused) && j.next > 0 {
			refused.Accepted = true
		}
		j.err = err
		j.source.close()
		return nil, err
	}
	return event, nil
}

func (j *Job) read(event *generationv1.GenerateEvent) error {
	sequence := event.GetSequence()
	if sequence < j.next {
		return fmt.Errorf("%w: event %d came after event %d", ErrProtocol, sequence, j.next-1)
	}
	j.missed += sequence - j.next
	j.next = sequence + 1
	switch of := event.GetEvent().(type) {
	case *generationv1.GenerateEvent_ImageChunk:
		return j.assembler.add(of.ImageChunk, j.source.canFetch())
	case *generationv1.GenerateEvent_Requeued:
		// The job starts again, so earlier pieces of pictures are void.
		j.assembler = assembler{}
	case *generationv1.GenerateEvent_Completed:
		var fetch func(uint32) ([]byte, error)
		if j.source.canFetch() {
			fetch = j.source.fetch
		}
		pictures, err := j.assembler.finish(of.Completed.GetImages(), fetch)
		j.pictures = pictures
		return err
	case *generationv1.GenerateEvent_Failed:
		return failed(of.Failed)
	case *generationv1.GenerateEvent_Cancelled:
		j.err = &CancelledError{AtStep: of.Cancelled.GetAtStep(), Reason: of.Cancelled.GetReason()}
	}
	return nil
}
