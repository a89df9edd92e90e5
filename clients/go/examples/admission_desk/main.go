// An admission desk: who is this, is he known already, and what is his golden ID from now on?
//
//	admission_desk SERVICE_CONFIG HOST:PORT RECORD_ID "FULL NAME" BIRTH_DATE [PHONE]
//
// Exit codes: 0 admitted, 1 the service refused, 2 wrong usage, 75 the service did not answer: admit by hand, send it
// again later.
package main

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"hochiminhcity.gov.vn/mdm"
	mdmv1 "hochiminhcity.gov.vn/mdm/v1"
)

// What says nothing about the request: it may have been done, or nobody has looked at it yet.
var unanswered = map[codes.Code]string{
	codes.Unavailable:       "UNAVAILABLE",
	codes.DeadlineExceeded:  "DEADLINE_EXCEEDED",
	codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
}

func main() {
	if len(os.Args) < 6 {
		fmt.Fprintln(os.Stderr, `usage: admission_desk SERVICE_CONFIG HOST:PORT RECORD_ID "FULL NAME" BIRTH_DATE [PHONE]`)
		os.Exit(2)
	}
	config, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	caller := &mdmv1.Caller{Actor: "admission-desk", Purpose: "admission"}
	connection, err := mdm.Dial(os.Args[2], string(config), caller, grpc.WithInsecure())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	key := &mdmv1.SourceKey{Registry: "hospital", EntityKind: mdmv1.EntityKind_ENTITY_KIND_CITIZEN, RecordId: os.Args[3]}
	citizen := &mdmv1.CitizenAttributes{FullName: os.Args[4], BirthDate: os.Args[5], Phones: os.Args[6:]}
	err = admit(connection, key, &mdmv1.Attributes{Bearer: &mdmv1.Attributes_Citizen{Citizen: citizen}})
	connection.Close()
	os.Exit(tell(err))
}

func admit(connection *grpc.ClientConn, key *mdmv1.SourceKey, attributes *mdmv1.Attributes) error {
	ctx := context.Background() // The service config gives each call its deadline.

	// 1. Look before anything is written. The clerk sees whom the service knows, and how sure it is.
	match, err := mdmv1.NewMatchServiceClient(connection).Match(ctx, &mdmv1.MatchRequest{Attributes: attributes, CandidateCountMax: 5})
	if err != nil {
		return err
	}
	for _, each := range match.Result.Candidates {
		fmt.Printf("candidate %s %s %.1f bits\n", each.GoldenId, each.Grade, each.MatchWeightBits)
	}

	// 2. Admit. The connection gives the write a request id, so that a repetition is no second admission.
	record := &mdmv1.SourceRecord{Key: key, Attributes: attributes}
	written, err := mdmv1.NewRegistryServiceClient(connection).UpsertRecord(ctx, &mdmv1.UpsertRecordRequest{Record: record})
	if err != nil {
		return err
	}
	fmt.Printf("admitted %s %s\n", written.GoldenId, written.Outcome)

	// 3. Read what was just written, wherever it is read: the token of the write asks for it.
	found, err := mdmv1.NewLookupServiceClient(connection).Lookup(ctx, &mdmv1.LookupRequest{Key: key, AtLeastAsFresh: written.Token})
	if err != nil {
		return err
	}
	fmt.Printf("looked up %s %s\n", found.GoldenId, found.Status)
	return nil
}

// tell prints what the service says of an error and returns the exit code.
func tell(err error) int {
	if err == nil {
		return 0
	}
	failure := mdm.FailureOf(err)
	// 4. By reason, never by text. What is wrong with the request is named field by field.
	code, isUnanswered := unanswered[failure.Code]
	verdict, exit := "refused", 1
	if isUnanswered {
		verdict, exit = "unanswered", 75
	}
	switch {
	case failure.Reason != "":
		code = failure.Reason
	case !isUnanswered:
		code = failure.Code.String()
	}
	fmt.Fprintln(os.Stderr, verdict, code)
	for _, each := range failure.FieldViolations {
		fmt.Fprintf(os.Stderr, "  %s: %s\n", each.Field, each.Description)
	}
	if failure.RetryAfter > 0 {
		fmt.Fprintf(os.Stderr, "  again in %d ms\n", failure.RetryAfter.Milliseconds())
	}
	return exit
}
