package sakuga

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	generationv1 "sakuga.dev/go/generation/v1"
)

var (
	// ErrProtocol says that the server broke its own protocol.
	ErrProtocol = errors.New("the server broke the protocol")
	// ErrDamaged says that a picture arrived, but not as the server sent it.
	ErrDamaged = errors.New("a picture is damaged")
)

// Violation is one field of a request that is wrong.
type Violation struct {
	// Field is the field, such as `sampling.steps`, or a place in the prompt, such as `character_2/appearance`.
	Field string
	// Description says what is wrong with it.
	Description string
	// Reason is the rule that it breaks, such as `unknown-element`. It may be empty.
	Reason string
}

// Error is an error of the server, with its google.rpc details decoded.
type Error struct {
	// Code is the code of the call or, of a job that failed, of its status.
	Code codes.Code
	// Message says what is wrong.
	Message string
	// Violations say what is wrong field by field (BadRequest).
	Violations []Violation
	// Reason is the reason as a constant of Domain (ErrorInfo), such as `QUEUE_FULL`.
	Reason string
	// Domain is what Reason belongs to.
	Domain string
	// Metadata are further facts (ErrorInfo), by name.
	Metadata map[string]string
	// RetryAfter says how long to wait before the next try (RetryInfo). 0: not said.
	RetryAfter time.Duration
	// Accepted reports whether the request was accepted: the job failed, and not the call.
	Accepted bool

	status *status.Status
}

// Error writes the message, its code, and each violation on a line.
func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s (%s)", e.Message, e.Code)
	for _, found := range e.Violations {
		field := found.Field
		if field == "" {
			field = "prompt"
		}
		fmt.Fprintf(&text, "\n  %s: %s", field, found.Description)
	}
	return text.String()
}

// GRPCStatus is the status, so that status.Code and status.FromError work.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// CancelledError says that there is no picture because the job was cancelled.
type CancelledError struct {
	// AtStep is the number of steps that were done.
	AtStep uint32
	// Reason says why.
	Reason generationv1.CancelReason
}

func (e *CancelledError) Error() string {
	return fmt.Sprintf("the job was cancelled after %d steps: %s", e.AtStep, e.Reason)
}

// explain decodes the error of a call. Errors that are not a status are returned as they are.
func explain(err error) error {
	if found, ok := status.FromError(err); ok && err != nil {
		return decode(found, false)
	}
	return err
}

// failed is the error of a job that ended with this status.
func failed(of *rpcstatus.Status) error { return decode(status.FromProto(of), true) }

func decode(of *status.Status, accepted bool) *Error {
	result := &Error{Code: of.Code(), Message: of.Message(), Accepted: accepted, status: of}
	for _, detail := range of.Details() {
		switch detail := detail.(type) {
		case *errdetails.BadRequest:
			for _, found := range detail.GetFieldViolations() {
				result.Violations = append(result.Violations,
					Violation{Field: found.GetField(), Description: found.GetDescription(), Reason: found.GetReason()})
			}
		case *errdetails.ErrorInfo:
			result.Reason, result.Domain, result.Metadata = detail.GetReason(), detail.GetDomain(), detail.GetMetadata()
		case *errdetails.RetryInfo:
			result.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	return result
}
