package vn.gov.hochiminhcity.mdm.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.PreconditionFailure;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A call failed. Handle it by {@link #reason()} (docs/errors.md); the text is for people and may change. */
public final class MdmException extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private static final String DOMAIN = "mdm.hochiminhcity.gov.vn";

    private final transient Status.Code code;
    private final String reason;
    private final transient Map<String, String> metadata;
    private final transient List<BadRequest.FieldViolation> fieldViolations;
    private final transient List<PreconditionFailure.Violation> preconditionViolations;
    private final transient Optional<Duration> retryAfter;

    private MdmException(StatusRuntimeException error, com.google.rpc.Status status) {
        super(error.getMessage(), error);
        code = error.getStatus().getCode();
        var info = detail(status, ErrorInfo.class).filter(each -> each.getDomain().equals(DOMAIN));
        reason = info.map(ErrorInfo::getReason).orElse("");
        metadata = info.map(ErrorInfo::getMetadataMap).orElse(Map.of());
        fieldViolations = detail(status, BadRequest.class).map(BadRequest::getFieldViolationsList).orElse(List.of());
        preconditionViolations =
                detail(status, PreconditionFailure.class).map(PreconditionFailure::getViolationsList).orElse(List.of());
        retryAfter = detail(status, RetryInfo.class)
                .map(RetryInfo::getRetryDelay)
                .map(delay -> Duration.ofSeconds(delay.getSeconds(), delay.getNanos()));
    }

    /** Reads the details of the google.rpc.Status that came with an error of a stub. */
    public static MdmException of(StatusRuntimeException error) {
        var status = StatusProto.fromThrowable(error);
        return new MdmException(error, status == null ? com.google.rpc.Status.getDefaultInstance() : status);
    }

    /** The gRPC code. */
    public Status.Code code() {
        return code;
    }

    /** A name of mdm.v1.ErrorReason without its prefix; empty if the service did not answer. */
    public String reason() {
        return reason;
    }

    /** Facts of the reason, for example {@code error_id} or {@code deadline_s_max}. */
    public Map<String, String> metadata() {
        return metadata;
    }

    /** Fields of the request that are wrong, each with the rule that it breaks. */
    public List<BadRequest.FieldViolation> fieldViolations() {
        return fieldViolations;
    }

    /** States that the request contradicts. */
    public List<PreconditionFailure.Violation> preconditionViolations() {
        return preconditionViolations;
    }

    /** After how long a repetition may succeed; empty if the service did not say. */
    public Optional<Duration> retryAfter() {
        return retryAfter;
    }

    private static <T extends com.google.protobuf.Message> Optional<T> detail(
            com.google.rpc.Status status, Class<T> type) {
        return status.getDetailsList().stream().filter(any -> any.is(type)).findFirst().map(any -> unpacked(any, type));
    }

    private static <T extends com.google.protobuf.Message> T unpacked(Any any, Class<T> type) {
        try {
            return any.unpack(type);
        } catch (InvalidProtocolBufferException error) {
            throw new IllegalStateException("a detail of another type than it says", error);
        }
    }
}
