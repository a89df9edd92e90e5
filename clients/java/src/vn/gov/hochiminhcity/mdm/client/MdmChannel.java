package vn.gov.hochiminhcity.mdm.client;

import com.google.gson.Gson;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import vn.gov.hochiminhcity.mdm.v1.Caller;

/**
 * A connection for the generated stubs: {@code LookupServiceGrpc.newBlockingStub(mdm.channel())}.
 *
 * <p>Deadlines and retries are those of clients/service_config.json: a call without a deadline of its own gets the
 * longest that the service takes, reads are tried again while the service is away, and so are writes, which get a
 * request id and the caller unless the request has them.
 */
public final class MdmChannel implements AutoCloseable {
    /** 500 golden records with all their members are under 20 MiB. */
    private static final int MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

    private final ManagedChannel connection;
    private final Channel channel;

    /**
     * Prepares a connection; it opens with the first call.
     *
     * @param target {@code HOST:PORT}; nothing is encrypted
     * @param serviceConfig where clients/service_config.json lies
     * @param actor the system that writes, by an official name that is no personal data
     * @param purpose purpose or legal basis of the access
     */
    public MdmChannel(String target, Path serviceConfig, String actor, String purpose) throws IOException {
        this(ManagedChannelBuilder.forTarget(target).usePlaintext(), serviceConfig, actor, purpose);
    }

    /** The same over a builder of your own, for TLS. */
    public MdmChannel(ManagedChannelBuilder<?> builder, Path serviceConfig, String actor, String purpose)
            throws IOException {
        @SuppressWarnings("unchecked") // A JSON object is a map by its texts.
        Map<String, ?> config = new Gson().fromJson(Files.readString(serviceConfig), Map.class);
        connection = builder.defaultServiceConfig(config)
                .enableRetry()
                .maxInboundMessageSize(MESSAGE_BYTES_MAX)
                // A dead connection is noticed within 70 s; the service allows a ping every 10 s.
                .keepAliveTime(60, TimeUnit.SECONDS)
                .keepAliveTimeout(10, TimeUnit.SECONDS)
                .build();
        var caller = Caller.newBuilder().setActor(actor).setPurpose(purpose).build();
        channel = io.grpc.ClientInterceptors.intercept(connection, new Filling(caller));
    }

    /** What generated stubs are made of. */
    public Channel channel() {
        return channel;
    }

    /** Makes a call and turns what it ends with into an {@link MdmException}. */
    public static <T> T call(Supplier<T> call) {
        try {
            return call.get();
        } catch (StatusRuntimeException error) {
            throw MdmException.of(error);
        }
    }

    /** Closes the connection; calls under way end within a second. */
    @Override
    public void close() {
        connection.shutdown();
        try {
            if (!connection.awaitTermination(1, TimeUnit.SECONDS)) {
                connection.shutdownNow();
            }
        } catch (InterruptedException error) {
            connection.shutdownNow();
            Thread.currentThread().interrupt();
        }
    }

    /** Gives each write a request id, so that a repetition after a break gets the first answer, and its caller. */
    private record Filling(Caller caller) implements ClientInterceptor {
        @Override
        public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
            return new SimpleForwardingClientCall<Q, A>(next.newCall(method, options)) {
                @Override
                public void sendMessage(Q request) {
                    super.sendMessage(filled(request));
                }
            };
        }

        @SuppressWarnings("unchecked") // A builder of a message builds the same type.
        private <Q> Q filled(Q request) {
            if (!(request instanceof Message message)) {
                return request;
            }
            var type = message.getDescriptorForType();
            var requestId = type.findFieldByName("request_id");
            var by = type.findFieldByName("caller");
            if (requestId == null && by == null) {
                return request;
            }
            var builder = message.toBuilder();
            if (requestId != null && ((String) message.getField(requestId)).isEmpty()) {
                builder.setField(requestId, UUID.randomUUID().toString());
            }
            if (by != null && !message.hasField(by)) {
                builder.setField(by, caller);
            }
            return (Q) builder.build();
        }
    }
}
