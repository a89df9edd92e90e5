package mdm_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	"hochiminhcity.gov.vn/mdm"
	mdmv1 "hochiminhcity.gov.vn/mdm/v1"
)

const citizen = mdmv1.EntityKind_ENTITY_KIND_CITIZEN

var (
	person = attributes("Lý Thị Kim Ngân", "17/08/1958", "0907 222 305")
	typed  = attributes("LY THI KIM NGAN", "19580817", "+84907222305")
)

// client makes the calls of the test, each within 30 s: a stream that tells nothing fails instead of hanging.
type client struct {
	*testing.T
	*grpc.ClientConn
	ctx context.Context
}

// Against a real service: MDM_CONFIG is the service config, MDM_TARGET its HOST:PORT, MDM_TOKENS a token far ahead of
// its journal and one of another journal.
func TestClient(t *testing.T) {
	content, err := os.ReadFile(os.Getenv("MDM_CONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config, target, tokens := string(content), os.Getenv("MDM_TARGET"), strings.Fields(os.Getenv("MDM_TOKENS"))
	attempts := new(counter)
	c := connect(t, target, config, grpc.WithStatsHandler(attempts))
	written := c.upsert("G1", person, "")
	reads(c, written)
	writes(c)
	errors(c, tokens[1])
	feed(c, written.GoldenId)

	retryInfo(connect(t, target, withoutRetries(t, config)), tokens[0])
	_, err = connect(t, "127.0.0.1:1", config).lookup("G1", "")
	c.check("a service that is not there is unavailable",
		mdm.FailureOf(err).Code == codes.Unavailable && mdm.FailureOf(err).Reason == "")
	retries(c, attempts, tokens[0])
}

func reads(c client, written *mdmv1.UpsertRecordResponse) {
	id := written.GoldenId
	found := c.found("G1", written.Token.Value)
	c.check("a read that carries the token of a write sees it",
		found.Status == mdmv1.RecordStatus_RECORD_STATUS_FOUND && found.GoldenId == id && strings.HasPrefix(id, "C-"))

	batch := &mdmv1.BatchLookupRequest{Registry: "hospital", EntityKind: citizen, RecordIds: []string{"G1", "nobody", "G1"}}
	columns, err := mdmv1.NewLookupServiceClient(c).BatchLookup(c.ctx, batch)
	c.must(err)
	c.check("a batch is answered as columns in the order asked", strings.Join(columns.GoldenIds, " ") == id+"  "+id)

	match, err := mdmv1.NewMatchServiceClient(c).Match(c.ctx, &mdmv1.MatchRequest{Attributes: typed})
	c.must(err)
	candidate := match.Result.Candidates[0]
	c.check("a bearer is found by what a clerk types",
		candidate.GoldenId == id && candidate.Grade == mdmv1.MatchGrade_MATCH_GRADE_CERTAIN)
	search := &mdmv1.ResolveRequest{Mode: mdmv1.ResolveMode_RESOLVE_MODE_FIND_ONLY, Attributes: typed}
	resolved, err := mdmv1.NewMatchServiceClient(c).Resolve(c.ctx, search)
	c.must(err)
	c.check("a search before a creation names him", resolved.GoldenId == id)

	golden, err := mdmv1.NewGoldenRecordServiceClient(c).GetGoldenRecord(c.ctx, &mdmv1.GetGoldenRecordRequest{GoldenId: id})
	c.must(err)
	isShown := false
	for _, value := range golden.GoldenRecord.Values {
		isShown = isShown || value.Field == "full_name" && value.Provenance.Key.RecordId == "G1"
	}
	c.check("a golden record shows where its values come from", isShown)
}

func writes(c client) {
	first := c.upsert("G2", person, "go-client-test")
	c.check("a repeated request id gets the first answer", proto.Equal(c.upsert("G2", person, "go-client-test"), first))
	_, err := c.tryUpsert("G3", person, "go-client-test")
	c.check("and other content an error", mdm.FailureOf(err).Reason == "REQUEST_ID_REUSED")

	c.upsert("G4", attributes("Vũ Văn Bốn", "1971"), "")
	deleted, err := mdmv1.NewRegistryServiceClient(c).DeleteRecord(c.ctx, &mdmv1.DeleteRecordRequest{Key: key("G4")})
	c.must(err)
	c.check("a deleted record says so",
		c.found("G4", deleted.Token.Value).Status == mdmv1.RecordStatus_RECORD_STATUS_DELETED)
}

func errors(c client, foreignToken string) {
	wrong := key("G1")
	wrong.Registry = "Not A Registry"
	lookups := mdmv1.NewLookupServiceClient(c)
	_, err := lookups.Lookup(c.ctx, &mdmv1.LookupRequest{Key: wrong})
	failure := mdm.FailureOf(err)
	c.check("each field that is wrong is named with its rule", failure.Reason == "INVALID_FIELD" &&
		failure.FieldViolations[0].Field == "key.registry" && failure.FieldViolations[0].Description != "")

	_, err = mdmv1.NewRegistryServiceClient(c).GetRecord(c.ctx, &mdmv1.GetRecordRequest{Key: key("nobody")})
	failure = mdm.FailureOf(err)
	c.check("what does not exist has a reason", failure.Code == codes.NotFound && failure.Reason == "RECORD_NOT_FOUND")

	late, cancel := context.WithTimeout(c.ctx, 0)
	defer cancel()
	_, err = lookups.Lookup(late, &mdmv1.LookupRequest{Key: key("G1")})
	c.check("a call that takes too long ends by its deadline", mdm.FailureOf(err).Code == codes.DeadlineExceeded)
	patient, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	found, err := lookups.Lookup(patient, &mdmv1.LookupRequest{Key: key("G1")})
	c.must(err)
	c.check("a deadline that the service would refuse is cut", found.Status == mdmv1.RecordStatus_RECORD_STATUS_FOUND)

	_, err = c.watch(&mdmv1.ChangeServiceWatchRequest{After: token(foreignToken)}).Recv()
	failure = mdm.FailureOf(err)
	c.check("a token of another journal says begin anew",
		failure.Reason == "FEED_RESET" && failure.PreconditionViolations[0].Type == "RESET")
}

func feed(c client, goldenID string) {
	start := mdmv1.WatchStart_WATCH_START_BEGINNING
	messages := c.watch(&mdmv1.ChangeServiceWatchRequest{Start: start, CheckpointIntervalS: 1})
	isTold, last := false, ""
	for isCurrent := false; !isCurrent; {
		message, err := messages.Recv()
		c.must(err)
		for _, event := range message.Events {
			for _, move := range event.Moves {
				isTold = isTold || move.Key.RecordId == "G1" && move.NewGoldenId == goldenID
			}
		}
		last, isCurrent = message.Token.GetValue(), message.IsCurrent
	}
	c.check("the feed tells a record that got its golden ID", isTold)

	c.upsert("G5", attributes("Hồ Thị Năm", "1970"), "")
	messages = c.watch(&mdmv1.ChangeServiceWatchRequest{After: token(last), CheckpointIntervalS: 1})
	message, err := messages.Recv()
	for ; err == nil && len(message.Events) == 0; message, err = messages.Recv() {
	}
	c.must(err)
	c.check("and goes on behind its token", message.Events[0].Moves[0].Key.RecordId == "G5")
}

// Whoever tries again by itself has the deadline behind it when the last try ends: here the first answer counts.
func retryInfo(c client, ahead string) {
	failure := mdm.Failure{Code: codes.DeadlineExceeded}
	// The service answers just before the deadline: on a busy machine the deadline may win.
	for tries := 0; failure.Code == codes.DeadlineExceeded && tries < 10; tries++ {
		second, cancel := context.WithTimeout(c.ctx, time.Second)
		request := &mdmv1.LookupRequest{Key: key("G1"), AtLeastAsFresh: token(ahead)}
		_, err := mdmv1.NewLookupServiceClient(c).Lookup(second, request)
		cancel()
		failure = mdm.FailureOf(err)
	}
	c.check("an error says after which time it pays to try again",
		failure.Reason == "NOT_FRESH_ENOUGH" && failure.RetryAfter == 100*time.Millisecond)
}

// The service waits two seconds for what a read asks for, then says that a repetition may succeed after 100 ms.
func retries(c client, attempts *counter, ahead string) {
	before := atomic.LoadInt64(&attempts.sent)
	short, cancel := context.WithTimeout(c.ctx, 3*time.Second)
	defer cancel()
	recordIDs := strings.Split(strings.Repeat("a patient of whom nobody knows anything,", 9000), ",")
	request := &mdmv1.BatchLookupRequest{
		Registry: "hospital", EntityKind: citizen, RecordIds: recordIDs[:9000], AtLeastAsFresh: token(ahead)}
	_, err := mdmv1.NewLookupServiceClient(c).BatchLookup(short, request)
	c.check("what may happen twice is tried again", err != nil && atomic.LoadInt64(&attempts.sent)-before > 1)
}

// counter counts what is sent, each attempt by itself.
type counter struct{ sent int64 }

func (c *counter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (c *counter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c *counter) HandleConn(context.Context, stats.ConnStats)                       {}
func (c *counter) HandleRPC(_ context.Context, event stats.RPCStats) {
	if _, isSent := event.(*stats.OutHeader); isSent {
		atomic.AddInt64(&c.sent, 1)
	}
}

func connect(t *testing.T, target, config string, options ...grpc.DialOption) client {
	caller := &mdmv1.Caller{Actor: "go-tests", Purpose: "tests"}
	connection, err := mdm.Dial(target, config, caller, append(options, grpc.WithInsecure())...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(func() { cancel(); connection.Close() })
	return client{t, connection, ctx}
}

func withoutRetries(t *testing.T, config string) string {
	var parsed map[string]interface{}
	if err := json.Unmarshal([]byte(config), &parsed); err != nil {
		t.Fatal(err)
	}
	for _, each := range parsed["methodConfig"].([]interface{}) {
		delete(each.(map[string]interface{}), "retryPolicy")
	}
	written, _ := json.Marshal(parsed)
	return string(written)
}

func (c client) tryUpsert(recordID string, values *mdmv1.Attributes, requestID string) (*mdmv1.UpsertRecordResponse, error) {
	record := &mdmv1.SourceRecord{Key: key(recordID), Attributes: values}
	request := &mdmv1.UpsertRecordRequest{Record: record, RequestId: requestID}
	return mdmv1.NewRegistryServiceClient(c).UpsertRecord(c.ctx, request)
}

func (c client) upsert(recordID string, values *mdmv1.Attributes, requestID string) *mdmv1.UpsertRecordResponse {
	written, err := c.tryUpsert(recordID, values, requestID)
	c.must(err)
	return written
}

func (c client) lookup(recordID, fresh string) (*mdmv1.LookupResponse, error) {
	return mdmv1.NewLookupServiceClient(c).Lookup(c.ctx, &mdmv1.LookupRequest{Key: key(recordID), AtLeastAsFresh: token(fresh)})
}

func (c client) found(recordID, fresh string) *mdmv1.LookupResponse {
	found, err := c.lookup(recordID, fresh)
	c.must(err)
	return found
}

func (c client) watch(request *mdmv1.ChangeServiceWatchRequest) mdmv1.ChangeService_WatchClient {
	stream, err := mdmv1.NewChangeServiceClient(c).Watch(c.ctx, request)
	c.must(err)
	return stream
}

func (c client) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c client) check(sentence string, holds bool) {
	c.Run(sentence, func(t *testing.T) {
		if !holds {
			t.Fail()
		}
	})
}

func token(value string) *mdmv1.JournalToken { return &mdmv1.JournalToken{Value: value} }

func key(recordID string) *mdmv1.SourceKey {
	return &mdmv1.SourceKey{Registry: "hospital", EntityKind: citizen, RecordId: recordID}
}

func attributes(name, born string, phones ...string) *mdmv1.Attributes {
	values := &mdmv1.CitizenAttributes{FullName: name, BirthDate: born, Phones: phones}
	return &mdmv1.Attributes{Bearer: &mdmv1.Attributes_Citizen{Citizen: values}}
}
