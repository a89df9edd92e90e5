import com.google.gson.JsonParser;
import com.google.protobuf.Message;
import io.grpc.Status;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import vn.gov.hochiminhcity.mdm.client.MdmChannel;
import vn.gov.hochiminhcity.mdm.client.MdmException;
import vn.gov.hochiminhcity.mdm.v1.*;

/** Against a real service: {@code ClientTest SERVICE_CONFIG HOST:PORT TOKEN_AHEAD TOKEN_OF_ANOTHER_JOURNAL}. */
public final class ClientTest {
    private static final EntityKind CITIZEN = EntityKind.ENTITY_KIND_CITIZEN;
    private static final Attributes PERSON = person("Lý Thị Kim Ngân", "17/08/1958", "0907 222 305");
    private static final Attributes TYPED = person("LY THI KIM NGAN", "19580817", "+84907222305");

    private ClientTest() {}

    public static void main(String[] arguments) throws Exception {
        var config = Path.of(arguments[0]);
        try (var mdm = new MdmChannel(arguments[1], config, "java-tests", "tests")) {
            var written = upsert(mdm, "J1", PERSON, "");
            reads(mdm, written);
            writes(mdm);
            errors(mdm, arguments[3]);
            feed(mdm, written.getGoldenId());
        }
        retryInfo(config, arguments[1], arguments[2]);
        try (var away = new MdmChannel("127.0.0.1:1", config, "", "")) {
            var error = error(() -> lookup(away, "J1", ""));
            check("a service that is not there is unavailable", error.code() == Status.Code.UNAVAILABLE && error.reason().isEmpty());
        }
    }

    private static void reads(MdmChannel mdm, UpsertRecordResponse written) {
        String id = written.getGoldenId();
        String token = written.getToken().getValue();
        var found = lookup(mdm, "J1", token);
        check("a read that carries the token of a write sees it",
                found.getStatus() == RecordStatus.RECORD_STATUS_FOUND && found.getGoldenId().equals(id) && id.startsWith("C-"));

        var batch = BatchLookupRequest.newBuilder().setRegistry("hospital").setEntityKind(CITIZEN)
                .addAllRecordIds(List.of("J1", "nobody", "J1")).build();
        var columns = LookupServiceGrpc.newBlockingStub(mdm.channel()).batchLookup(batch);
        check("a batch is answered as columns in the order asked", columns.getGoldenIdsList().equals(List.of(id, "", id)));

        var match = MatchServiceGrpc.newBlockingStub(mdm.channel());
        var candidate = match.match(MatchRequest.newBuilder().setAttributes(TYPED).build()).getResult().getCandidates(0);
        check("a bearer is found by what a clerk types",
                candidate.getGoldenId().equals(id) && candidate.getGrade() == MatchGrade.MATCH_GRADE_CERTAIN);
        var resolved = match.resolve(ResolveRequest.newBuilder().setMode(ResolveMode.RESOLVE_MODE_FIND_ONLY)
                .setAttributes(TYPED).build());
        check("a search before a creation names him", resolved.getGoldenId().equals(id));

        var golden = GoldenRecordServiceGrpc.newBlockingStub(mdm.channel())
                .getGoldenRecord(GetGoldenRecordRequest.newBuilder().setGoldenId(id).build()).getGoldenRecord();
        check("a golden record shows where its values come from", golden.getValuesList().stream()
                .anyMatch(value -> value.getField().equals("full_name")
                        && value.getProvenance().getKey().getRecordId().equals("J1")));
    }

    private static void writes(MdmChannel mdm) {
        String requestId = UUID.randomUUID().toString();
        var first = upsert(mdm, "J2", PERSON, requestId);
        check("a repeated request id gets the first answer", upsert(mdm, "J2", PERSON, requestId).equals(first));
        var reused = error(() -> upsert(mdm, "J3", PERSON, requestId));
        check("and other content an error", reused.reason().equals("REQUEST_ID_REUSED"));

        upsert(mdm, "J4", person("Vũ Văn Bốn", "1971", ""), "");
        var deleted = RegistryServiceGrpc.newBlockingStub(mdm.channel())
                .deleteRecord(DeleteRecordRequest.newBuilder().setKey(key("J4")).build());
        check("a deleted record says so",
                lookup(mdm, "J4", deleted.getToken().getValue()).getStatus() == RecordStatus.RECORD_STATUS_DELETED);
    }

    private static void errors(MdmChannel mdm, String foreignToken) {
        var wrong = SourceKey.newBuilder(key("J1")).setRegistry("Not A Registry");
        var lookups = LookupServiceGrpc.newBlockingStub(mdm.channel());
        var field = error(() -> lookups.lookup(LookupRequest.newBuilder().setKey(wrong).build()));
        check("each field that is wrong is named with its rule", field.reason().equals("INVALID_FIELD")
                && field.fieldViolations().get(0).getField().equals("key.registry")
                && !field.fieldViolations().get(0).getDescription().isEmpty());

        var registry = RegistryServiceGrpc.newBlockingStub(mdm.channel());
        var missing = error(() -> registry.getRecord(GetRecordRequest.newBuilder().setKey(key("nobody")).build()));
        check("what does not exist has a reason", missing.code() == Status.Code.NOT_FOUND
                && missing.reason().equals("RECORD_NOT_FOUND"));

        var late = error(() -> lookups.withDeadlineAfter(0, TimeUnit.SECONDS).lookup(LookupRequest.newBuilder().setKey(key("J1")).build()));
        check("a call that takes too long ends by its deadline", late.code() == Status.Code.DEADLINE_EXCEEDED);
        var patient = lookups.withDeadlineAfter(1, TimeUnit.HOURS).lookup(LookupRequest.newBuilder().setKey(key("J1")).build());
        check("a deadline that the service would refuse is cut", patient.getStatus() == RecordStatus.RECORD_STATUS_FOUND);

        var reset = error(() -> watch(mdm, ChangeServiceWatchRequest.newBuilder().setAfter(token(foreignToken))).next());
        check("a token of another journal says begin anew", reset.reason().equals("FEED_RESET")
                && reset.preconditionViolations().get(0).getType().equals("RESET"));
    }

    private static void feed(MdmChannel mdm, String goldenId) {
        var start = ChangeServiceWatchRequest.newBuilder().setStart(WatchStart.WATCH_START_BEGINNING).setCheckpointIntervalS(1);
        var messages = watch(mdm, start);
        boolean isTold = false;
        String last = "";
        for (boolean isCurrent = false; !isCurrent; ) {
            var message = messages.next();
            isTold |= message.getEventsList().stream().flatMap(event -> event.getMovesList().stream())
                    .anyMatch(move -> move.getKey().getRecordId().equals("J1") && move.getNewGoldenId().equals(goldenId));
            last = message.getToken().getValue();
            isCurrent = message.getIsCurrent();
        }
        check("the feed tells a record that got its golden ID", isTold);
        upsert(mdm, "J5", person("Hồ Thị Năm", "1970", ""), "");
        var next = watch(mdm, ChangeServiceWatchRequest.newBuilder().setAfter(token(last)).setCheckpointIntervalS(1));
        var message = next.next();
        while (message.getEventsCount() == 0) {
            message = next.next();
        }
        check("and goes on behind its token", message.getEvents(0).getMoves(0).getKey().getRecordId().equals("J5"));
    }

    private static void retryInfo(Path config, String target, String ahead) throws Exception {
        // Whoever tries again by itself has the deadline behind it when the last try ends: here the first answer counts.
        var once = Files.createTempFile("mdm-", ".json");
        var parsed = JsonParser.parseString(Files.readString(config)).getAsJsonObject();
        parsed.getAsJsonArray("methodConfig").forEach(each -> each.getAsJsonObject().remove("retryPolicy"));
        Files.writeString(once, parsed.toString());
        try (var mdm = new MdmChannel(target, once, "", "")) {
            var request = LookupRequest.newBuilder().setKey(key("J1")).setAtLeastAsFresh(token(ahead)).build();
            MdmException error;
            int tries = 0;
            do {
                // The service answers just before the deadline: on a busy machine the deadline may win.
                error = error(() -> LookupServiceGrpc.newBlockingStub(mdm.channel())
                        .withDeadlineAfter(1, TimeUnit.SECONDS).lookup(request));
                tries += 1;
            } while (error.code() == Status.Code.DEADLINE_EXCEEDED && tries < 10);
            check("an error says after which time it pays to try again", error.reason().equals("NOT_FRESH_ENOUGH")
                    && error.retryAfter().orElseThrow().equals(Duration.ofMillis(100)));
        } finally {
            Files.delete(once);
        }
    }

    private static UpsertRecordResponse upsert(MdmChannel mdm, String recordId, Attributes attributes, String requestId) {
        var record = SourceRecord.newBuilder().setKey(key(recordId)).setAttributes(attributes);
        return RegistryServiceGrpc.newBlockingStub(mdm.channel())
                .upsertRecord(UpsertRecordRequest.newBuilder().setRecord(record).setRequestId(requestId).build());
    }

    private static LookupResponse lookup(MdmChannel mdm, String recordId, String token) {
        return LookupServiceGrpc.newBlockingStub(mdm.channel())
                .lookup(LookupRequest.newBuilder().setKey(key(recordId)).setAtLeastAsFresh(token(token)).build());
    }

    private static Iterator<ChangeServiceWatchResponse> watch(MdmChannel mdm, ChangeServiceWatchRequest.Builder request) {
        return ChangeServiceGrpc.newBlockingStub(mdm.channel()).watch(request.build());
    }

    private static JournalToken token(String value) {
        return JournalToken.newBuilder().setValue(value).build();
    }

    private static SourceKey key(String recordId) {
        return SourceKey.newBuilder().setRegistry("hospital").setEntityKind(CITIZEN).setRecordId(recordId).build();
    }

    private static Attributes person(String name, String born, String phone) {
        var citizen = CitizenAttributes.newBuilder().setFullName(name).setBirthDate(born);
        return Attributes.newBuilder().setCitizen(phone.isEmpty() ? citizen : citizen.addPhones(phone)).build();
    }

    private static MdmException error(Supplier<? extends Message> call) {
        try {
            MdmChannel.call(call);
        } catch (MdmException error) {
            return error;
        }
        throw new AssertionError("the call succeeded");
    }

    private static void check(String sentence, boolean holds) {
        if (!holds) {
            throw new AssertionError(sentence);
        }
        System.out.println("ok " + sentence);
    }
}
