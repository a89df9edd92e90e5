// Package mdm connects the generated stubs of mdm/v1 to the service and reads the details of its errors.
//
// Deadlines and retries are those of clients/service_config.json: a call without a deadline of its own gets the longest
// that the service takes, reads are tried again while the service is away, and so are writes, which get a request id
// and the caller unless the request has them. grpc-go older than 1.40 tries again only with GRPC_GO_RETRY=on in its
// environment.
package mdm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	_ "google.golang.org/grpc/health" // Asks each server whether it answers lookups, as the service config says.
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	mdmv1 "hochiminhcity.gov.vn/mdm/v1"
)

// 500 golden records with all their members are under 20 MiB.
const messageBytesMax = 64 * 1024 * 1024

// What the service takes. By default grpc-go tries nothing again that is larger than 256 KiB.
const retriedBytesMax = 4 * 1024 * 1024

// Dial prepares a connection to HOST:PORT for stubs like mdmv1.NewLookupServiceClient; it opens with the first call.
//
// serviceConfig is the content of clients/service_config.json. caller says who writes and what for, no personal data.
// options name the transport: grpc.WithTransportCredentials for TLS, grpc.WithInsecure() for none.
func Dial(target, serviceConfig string, caller *mdmv1.Caller, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	filling := filling{caller.ProtoReflect()}
	return grpc.Dial(target, append([]grpc.DialOption{
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithChainUnaryInterceptor(filling.unary),
		grpc.WithChainStreamInterceptor(filling.stream),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(messageBytesMax), grpc.MaxRetryRPCBufferSize(retriedBytesMax)),
		// A dead connection is noticed within 70 s; the service allows a ping every 10 s.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 60 * time.Second, Timeout: 10 * time.Second}),
		// A service that restarts is found again within two seconds.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
	}, options...)...)
}

// filling gives each write a request id, so that a repetition after a break gets the first answer, and its caller.
type filling struct{ caller protoreflect.Message }

func (f filling) unary(ctx context.Context, method string, request, answer interface{}, connection *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return invoke(ctx, method, f.filled(request), answer, connection, options...)
}

func (f filling) stream(ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn, method string,
	open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, description, connection, method, options...)
	return fillingStream{stream, f}, err
}

type fillingStream struct {
	grpc.ClientStream
	filling
}

func (s fillingStream) SendMsg(request interface{}) error {
	return s.ClientStream.SendMsg(s.filled(request))
}

func (f filling) filled(request interface{}) interface{} {
	message, isMessage := request.(proto.Message)
	if !isMessage {
		return request
	}
	fields := message.ProtoReflect().Descriptor().Fields()
	requestID, caller := fields.ByName("request_id"), fields.ByName("caller")
	lacksID := requestID != nil && message.ProtoReflect().Get(requestID).String() == ""
	lacksCaller := caller != nil && !message.ProtoReflect().Has(caller)
	if !lacksID && !lacksCaller {
		return request
	}
	filled := proto.Clone(message)
	if lacksID {
		filled.ProtoReflect().Set(requestID, protoreflect.ValueOfString(newRequestID()))
	}
	if lacksCaller {
		filled.ProtoReflect().Set(caller, protoreflect.ValueOfMessage(f.caller))
	}
	return filled
}

func newRequestID() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		panic(err) // Two writes under one id would pass for one.
	}
	return hex.EncodeToString(bytes)
}
