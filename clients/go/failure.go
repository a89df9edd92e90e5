package mdm

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const domain = "mdm.hochiminhcity.gov.vn"

// Failure is what the service says of a call that failed. Decide by its Reason (docs/errors.md), never by text.
type Failure struct {
	Code codes.Code
	// Reason is a name of mdm.v1.ErrorReason without its prefix; empty if the service did not answer.
	Reason string
	// Metadata holds facts of the reason, for example error_id or deadline_s_max.
	Metadata map[string]string
	// FieldViolations are the fields of the request that are wrong, each with the rule that it breaks.
	FieldViolations []*errdetails.BadRequest_FieldViolation
	// PreconditionViolations are states that the request contradicts.
	PreconditionViolations []*errdetails.PreconditionFailure_Violation
	// RetryAfter says after how long a repetition may succeed; 0 if the service did not say.
	RetryAfter time.Duration
}

// FailureOf reads the details of an error that a stub or a stream returned.
func FailureOf(err error) Failure {
	told := status.Convert(err)
	failure := Failure{Code: told.Code()}
	for _, each := range told.Details() {
		switch detail := each.(type) {
		case *errdetails.ErrorInfo:
			if detail.Domain == domain {
				failure.Reason, failure.Metadata = detail.Reason, detail.Metadata
			}
		case *errdetails.BadRequest:
			failure.FieldViolations = detail.FieldViolations
		case *errdetails.PreconditionFailure:
			failure.PreconditionViolations = detail.Violations
		case *errdetails.RetryInfo:
			failure.RetryAfter = time.Duration(detail.RetryDelay.Seconds)*time.Second + time.Duration(detail.RetryDelay.Nanos)
		}
	}
	return failure
}
