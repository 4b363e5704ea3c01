package sakuga

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	generationv1 "sakuga.dev/go/generation/v1"
)

// generateCall are the events of one call of Generate. The job ends with the call.
type generateCall struct {
	stream generationv1.GenerationService_GenerateClient
	end    context.CancelFunc
}

func (c *generateCall) receive() (*generationv1.GenerateEvent, error) {
	response, err := c.stream.Recv()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, explain(err)
	}
	if response.GetEvent() == nil {
		return nil, fmt.Errorf("%w: a message has no event", ErrProtocol)
	}
	return response.GetEvent(), nil
}

func (c *generateCall) cancel() error                { c.end(); return nil }
func (c *generateCall) close()                       { c.end() }
func (c *generateCall) fetch(uint32) ([]byte, error) { return nil, ErrProtocol }
func (c *generateCall) canFetch() bool               { return false }

// watchCall are the events of a kept job after a known one. After a lost connection they continue, without loss or
// repetition.
type watchCall struct {
	client *Client
	ctx    context.Context
	end    context.CancelFunc
	jobID  string
	after  *uint64
	retry  retry
	stream generationv1.JobService_WatchJobClient
}

func (c *watchCall) receive() (*generationv1.GenerateEvent, error) {
	for {
		response, err := c.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, err
		case err != nil:
			c.stream = nil
			if err := c.retry.after(c.ctx, err); err != nil {
				return nil, err
			}
			continue
		}
		c.retry.failures = 0
		// The other messages say that the stream is open, or that the connection is alive.
		if event := response.GetEvent(); event != nil {
			sequence := event.GetSequence()
			c.after = &sequence
			return event, nil
		}
	}
}

func (c *watchCall) next() (*generationv1.WatchJobResponse, error) {
	if c.stream == nil {
		request := &generationv1.WatchJobRequest{JobId: c.jobID, AfterSequence: c.after}
		stream, err := c.client.Jobs.WatchJob(c.ctx, request)
		if err != nil {
			return nil, err
		}
		c.stream = stream
	}
	return c.stream.Recv()
}

func (c *watchCall) cancel() error {
	_, err := c.client.Cancel(context.WithoutCancel(c.ctx), c.jobID)
	return err
}

func (c *watchCall) close()         { c.end() }
func (c *watchCall) canFetch() bool { return true }

func (c *watchCall) fetch(index uint32) ([]byte, error) {
	return c.client.Artifact(c.ctx, c.jobID, index)
}

const (
	// Together with the waits half a minute to a minute, longer than most servers take to restart.
	maxAttempts = 12
	firstWait   = 100 * time.Millisecond
	maxWait     = 10 * time.Second
)

// retry waits between attempts, longer each time.
type retry struct{ failures int }

// after waits if another attempt can help, and otherwise returns the error, decoded.
func (r *retry) after(ctx context.Context, err error) error {
	r.failures++
	if r.failures >= maxAttempts || status.Code(err) != codes.Unavailable || ctx.Err() != nil {
		return explain(err)
	}
	wait := min(maxWait, firstWait<<r.failures)
	// Jitter, so that not all clients of a restarted server reconnect at one moment.
	wait = time.Duration(float64(wait) * (0.5 + rand.Float64()/2))
	select {
	case <-ctx.Done():
		return explain(err)
	case <-time.After(wait):
		return nil
	}
}

// ask repeats a call that may be repeated until it is answered.
func ask[T any](ctx context.Context, call func() (T, error)) (T, error) {
	var retry retry
	for {
		answer, err := call()
		if err == nil {
			return answer, nil
		}
		if err := retry.after(ctx, err); err != nil {
			return answer, err
		}
	}
}
