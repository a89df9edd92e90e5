import io.grpc.Status;
import java.nio.file.Path;
import java.util.Set;
import vn.gov.hochiminhcity.mdm.client.MdmChannel;
import vn.gov.hochiminhcity.mdm.client.MdmException;
import vn.gov.hochiminhcity.mdm.v1.Attributes;
import vn.gov.hochiminhcity.mdm.v1.CitizenAttributes;
import vn.gov.hochiminhcity.mdm.v1.EntityKind;
import vn.gov.hochiminhcity.mdm.v1.LookupRequest;
import vn.gov.hochiminhcity.mdm.v1.LookupServiceGrpc;
import vn.gov.hochiminhcity.mdm.v1.MatchRequest;
import vn.gov.hochiminhcity.mdm.v1.MatchServiceGrpc;
import vn.gov.hochiminhcity.mdm.v1.RegistryServiceGrpc;
import vn.gov.hochiminhcity.mdm.v1.SourceKey;
import vn.gov.hochiminhcity.mdm.v1.SourceRecord;
import vn.gov.hochiminhcity.mdm.v1.UpsertRecordRequest;

/**
 * An admission desk: who is this, is he known already, and what is his golden ID from now on?
 *
 * <p>{@code AdmissionDesk SERVICE_CONFIG HOST:PORT RECORD_ID "FULL NAME" BIRTH_DATE [PHONE]}. Exit codes: 0 admitted, 1 the
 * service refused, 2 wrong usage, 75 the service did not answer: admit by hand, send it again later.
 */
public final class AdmissionDesk {
    /** What says nothing about the request: it may have been done, or nobody has looked at it yet. */
    private static final Set<Status.Code> UNANSWERED =
            Set.of(Status.Code.UNAVAILABLE, Status.Code.DEADLINE_EXCEEDED, Status.Code.RESOURCE_EXHAUSTED);

    private AdmissionDesk() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length < 5) {
            System.err.println("usage: AdmissionDesk SERVICE_CONFIG HOST:PORT RECORD_ID \"FULL NAME\" BIRTH_DATE [PHONE]");
            System.exit(2);
        }
        var citizen = CitizenAttributes.newBuilder().setFullName(arguments[3]).setBirthDate(arguments[4]);
        if (arguments.length > 5) {
            citizen.addPhones(arguments[5]);
        }
        var key = SourceKey.newBuilder()
                .setRegistry("hospital")
                .setEntityKind(EntityKind.ENTITY_KIND_CITIZEN)
                .setRecordId(arguments[2])
                .build();
        int code;
        try (var mdm = new MdmChannel(arguments[1], Path.of(arguments[0]), "admission-desk", "admission")) {
            code = admit(mdm, key, Attributes.newBuilder().setCitizen(citizen).build());
        }
        System.exit(code);
    }

    private static int admit(MdmChannel mdm, SourceKey key, Attributes attributes) {
        var match = MatchServiceGrpc.newBlockingStub(mdm.channel());
        var registry = RegistryServiceGrpc.newBlockingStub(mdm.channel());
        var lookup = LookupServiceGrpc.newBlockingStub(mdm.channel());
        try {
            // 1. Look before anything is written. The clerk sees whom the service knows, and how sure it is.
            var asked = MatchRequest.newBuilder().setAttributes(attributes).setCandidateCountMax(5).build();
            for (var each : MdmChannel.call(() -> match.match(asked)).getResult().getCandidatesList()) {
                System.out.printf("candidate %s %s %.1f bits%n", each.getGoldenId(), each.getGrade(), each.getMatchWeightBits());
            }
            // 2. Admit. The channel gives the write a request id, so that a repetition is no second admission.
            var record = SourceRecord.newBuilder().setKey(key).setAttributes(attributes);
            var upsert = UpsertRecordRequest.newBuilder().setRecord(record).build();
            var written = MdmChannel.call(() -> registry.upsertRecord(upsert));
            System.out.printf("admitted %s %s%n", written.getGoldenId(), written.getOutcome());
            // 3. Read what was just written, wherever it is read: the token of the write asks for it.
            var again = LookupRequest.newBuilder().setKey(key).setAtLeastAsFresh(written.getToken()).build();
            var answer = MdmChannel.call(() -> lookup.lookup(again));
            System.out.printf("looked up %s %s%n", answer.getGoldenId(), answer.getStatus());
            return 0;
        } catch (MdmException error) {
            // 4. By reason, never by text. What is wrong with the request is named field by field.
            var isUnanswered = UNANSWERED.contains(error.code());
            System.err.printf("%s %s%n", isUnanswered ? "unanswered" : "refused", error.reason().isEmpty() ? error.code() : error.reason());
            error.fieldViolations().forEach(each -> System.err.printf("  %s: %s%n", each.getField(), each.getDescription()));
            error.retryAfter().ifPresent(delay -> System.err.printf("  again in %d ms%n", delay.toMillis()));
            return isUnanswered ? 75 : 1;
        }
    }
}
