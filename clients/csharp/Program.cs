using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Google.Protobuf;
using Grpc.Core;
using HcmMdm.V1;

namespace HcmMdm
{
    /// <summary>
    /// Makes each call against a real service and tells what holds:
    /// <c>dotnet run -- SERVICE_CONFIG http://HOST:PORT TOKEN_AHEAD TOKEN_OF_ANOTHER_JOURNAL</c>.
    /// </summary>
    public static class Program
    {
        private static readonly Attributes Person = Named("Lý Thị Kim Ngân", "17/08/1958", "0907 222 305");
        private static readonly Attributes Typed = Named("LY THI KIM NGAN", "19580817", "+84907222305");

        public static async Task Main(string[] arguments)
        {
            var caller = new Caller { Actor = "csharp-tests", Purpose = "tests" };
            using (var mdm = new MdmChannel(arguments[1], arguments[0], caller))
            {
                var written = Upsert(mdm, "S1", Person, "");
                Reads(mdm, written);
                Writes(mdm);
                await Errors(mdm, arguments[3]);
                await Feed(mdm, written.GoldenId);
            }
            using (var mdm = new MdmChannel(arguments[1], arguments[0], caller, isRetrying: false))
            {
                RetryInfo(mdm, arguments[2]);
            }
            using (var away = new MdmChannel("http://127.0.0.1:1", arguments[0], caller))
            {
                var failure = Failure(() => Lookup(away, "S1", ""));
                Check("a service that is not there is unavailable", failure.Code == StatusCode.Unavailable && failure.Reason == "");
            }
        }

        private static void Reads(MdmChannel mdm, UpsertRecordResponse written)
        {
            var id = written.GoldenId;
            var found = Lookup(mdm, "S1", written.Token.Value);
            Check("a read that carries the token of a write sees it",
                found.Status == RecordStatus.Found && found.GoldenId == id && id.StartsWith("C-"));

            var batch = new BatchLookupRequest { Registry = "hospital", EntityKind = EntityKind.Citizen, RecordIds = { "S1", "nobody", "S1" } };
            var columns = new LookupService.LookupServiceClient(mdm.Invoker).BatchLookup(batch);
            Check("a batch is answered as columns in the order asked", columns.GoldenIds.SequenceEqual(new[] { id, "", id }));

            var match = new MatchService.MatchServiceClient(mdm.Invoker);
            var candidate = match.Match(new MatchRequest { Attributes = Typed }).Result.Candidates[0];
            Check("a bearer is found by what a clerk types", candidate.GoldenId == id && candidate.Grade == MatchGrade.Certain);
            var resolved = match.Resolve(new ResolveRequest { Mode = ResolveMode.FindOnly, Attributes = Typed });
            Check("a search before a creation names him", resolved.GoldenId == id);

            var records = new GoldenRecordService.GoldenRecordServiceClient(mdm.Invoker);
            var golden = records.GetGoldenRecord(new GetGoldenRecordRequest { GoldenId = id }).GoldenRecord;
            Check("a golden record shows where its values come from",
                golden.Values.Any(value => value.Field == "full_name" && value.Provenance.Key.RecordId == "S1"));
        }

        private static void Writes(MdmChannel mdm)
        {
            var requestId = Guid.NewGuid().ToString();
            var first = Upsert(mdm, "S2", Person, requestId);
            Check("a repeated request id gets the first answer", Upsert(mdm, "S2", Person, requestId).Equals(first));
            var reused = Failure(() => Upsert(mdm, "S3", Person, requestId));
            Check("and other content an error", reused.Reason == "REQUEST_ID_REUSED");

            Upsert(mdm, "S4", Named("Vũ Văn Bốn", "1971"), "");
            var registry = new RegistryService.RegistryServiceClient(mdm.Invoker);
            var deleted = registry.DeleteRecord(new DeleteRecordRequest { Key = Key("S4") });
            Check("a deleted record says so", Lookup(mdm, "S4", deleted.Token.Value).Status == RecordStatus.Deleted);
        }

        private static async Task Errors(MdmChannel mdm, string foreignToken)
        {
            var lookups = new LookupService.LookupServiceClient(mdm.Invoker);
            var wrong = Key("S1");
            wrong.Registry = "Not A Registry";
            var field = Failure(() => lookups.Lookup(new LookupRequest { Key = wrong }));
            Check("each field that is wrong is named with its rule", field.Reason == "INVALID_FIELD"
                && field.FieldViolations[0].Field == "key.registry" && field.FieldViolations[0].Description != "");

            var registry = new RegistryService.RegistryServiceClient(mdm.Invoker);
            var missing = Failure(() => registry.GetRecord(new GetRecordRequest { Key = Key("nobody") }));
            Check("what does not exist has a reason", missing.Code == StatusCode.NotFound && missing.Reason == "RECORD_NOT_FOUND");

            var request = new LookupRequest { Key = Key("S1") };
            var late = Failure(() => lookups.Lookup(request, deadline: DateTime.UtcNow));
            Check("a call that takes too long ends by its deadline", late.Code == StatusCode.DeadlineExceeded);
            var patient = lookups.Lookup(request, deadline: DateTime.UtcNow.AddHours(1));
            Check("a deadline that the service would refuse is cut", patient.Status == RecordStatus.Found);

            var feed = Watch(mdm, new ChangeServiceWatchRequest { After = Token(foreignToken) });
            MdmFailure reset = null;
            try
            {
                await feed.MoveNext(CancellationToken.None);
            }
            catch (RpcException error)
            {
                reset = new MdmFailure(error);
            }
            Check("a token of another journal says begin anew",
                reset != null && reset.Reason == "FEED_RESET" && reset.PreconditionViolations[0].Type == "RESET");
        }

        private static async Task Feed(MdmChannel mdm, string goldenId)
        {
            var feed = Watch(mdm, new ChangeServiceWatchRequest { Start = WatchStart.Beginning, CheckpointIntervalS = 1 });
            var isTold = false;
            var last = "";
            for (var isCurrent = false; !isCurrent && await feed.MoveNext(CancellationToken.None);)
            {
                var moves = feed.Current.Events.SelectMany(each => each.Moves);
                isTold |= moves.Any(move => move.Key.RecordId == "S1" && move.NewGoldenId == goldenId);
                last = feed.Current.Token?.Value ?? "";
                isCurrent = feed.Current.IsCurrent;
            }
            Check("the feed tells a record that got its golden ID", isTold);

            Upsert(mdm, "S5", Named("Hồ Thị Năm", "1970"), "");
            feed = Watch(mdm, new ChangeServiceWatchRequest { After = Token(last), CheckpointIntervalS = 1 });
            while (await feed.MoveNext(CancellationToken.None) && feed.Current.Events.Count == 0)
            {
            }
            Check("and goes on behind its token", feed.Current.Events[0].Moves[0].Key.RecordId == "S5");
        }

        private static void RetryInfo(MdmChannel mdm, string ahead)
        {
            var lookups = new LookupService.LookupServiceClient(mdm.Invoker);
            var request = new LookupRequest { Key = Key("S1"), AtLeastAsFresh = Token(ahead) };
            MdmFailure failure;
            var tries = 0;
            do
            {
                // The service answers just before the deadline: on a busy machine the deadline may win.
                failure = Failure(() => lookups.Lookup(request, deadline: DateTime.UtcNow.AddSeconds(1)));
                tries += 1;
            }
            while (failure.Code == StatusCode.DeadlineExceeded && tries < 10);
            Check("an error says after which time it pays to try again",
                failure.Reason == "NOT_FRESH_ENOUGH" && failure.RetryAfter == TimeSpan.FromMilliseconds(100));
        }

        private static UpsertRecordResponse Upsert(MdmChannel mdm, string recordId, Attributes attributes, string requestId)
        {
            var record = new SourceRecord { Key = Key(recordId), Attributes = attributes };
            var request = new UpsertRecordRequest { Record = record, RequestId = requestId };
            return new RegistryService.RegistryServiceClient(mdm.Invoker).UpsertRecord(request);
        }

        private static LookupResponse Lookup(MdmChannel mdm, string recordId, string token)
        {
            var request = new LookupRequest { Key = Key(recordId), AtLeastAsFresh = Token(token) };
            return new LookupService.LookupServiceClient(mdm.Invoker).Lookup(request);
        }

        private static IAsyncStreamReader<ChangeServiceWatchResponse> Watch(MdmChannel mdm, ChangeServiceWatchRequest request)
        {
            return new ChangeService.ChangeServiceClient(mdm.Invoker).Watch(request).ResponseStream;
        }

        private static JournalToken Token(string value)
        {
            return new JournalToken { Value = value };
        }

        private static SourceKey Key(string recordId)
        {
            return new SourceKey { Registry = "hospital", EntityKind = EntityKind.Citizen, RecordId = recordId };
        }

        private static Attributes Named(string name, string born, params string[] phones)
        {
            return new Attributes { Citizen = new CitizenAttributes { FullName = name, BirthDate = born, Phones = { phones } } };
        }

        private static MdmFailure Failure(Func<IMessage> call)
        {
            try
            {
                call();
            }
            catch (RpcException error)
            {
                return new MdmFailure(error);
            }
            throw new InvalidOperationException("the call succeeded");
        }

        private static void Check(string sentence, bool holds)
        {
            if (!holds)
            {
                throw new InvalidOperationException(sentence);
            }
            Console.WriteLine("ok " + sentence);
        }
    }
}
