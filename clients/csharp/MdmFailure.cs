using System;
using System.Collections.Generic;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;

namespace HcmMdm
{
    /// <summary>What the service says of a call that failed. Decide by <see cref="Reason"/> (docs/errors.md), never by text.</summary>
    public sealed class MdmFailure
    {
        private const string Domain = "mdm.hochiminhcity.gov.vn";

        /// <summary>Reads the details of an error that a stub or a stream threw.</summary>
        public MdmFailure(RpcException error)
        {
            Code = error.StatusCode;
            var packed = error.Trailers.GetValueBytes("grpc-status-details-bin");
            var status = packed == null ? new Google.Rpc.Status() : Google.Rpc.Status.Parser.ParseFrom(packed);
            var info = Detail<ErrorInfo>(status);
            if (info.Domain == Domain)
            {
                Reason = info.Reason;
                Metadata = info.Metadata;
            }
            FieldViolations = Detail<BadRequest>(status).FieldViolations;
            PreconditionViolations = Detail<PreconditionFailure>(status).Violations;
            RetryAfter = Detail<RetryInfo>(status).RetryDelay?.ToTimeSpan();
        }

        /// <summary>The gRPC code.</summary>
        public StatusCode Code { get; }

        /// <summary>A name of mdm.v1.ErrorReason without its prefix; empty if the service did not answer.</summary>
        public string Reason { get; } = "";

        /// <summary>Facts of the reason, for example <c>error_id</c> or <c>deadline_s_max</c>.</summary>
        public IDictionary<string, string> Metadata { get; } = new Dictionary<string, string>();

        /// <summary>Fields of the request that are wrong, each with the rule that it breaks.</summary>
        public IList<BadRequest.Types.FieldViolation> FieldViolations { get; }

        /// <summary>States that the request contradicts.</summary>
        public IList<PreconditionFailure.Types.Violation> PreconditionViolations { get; }

        /// <summary>After how long a repetition may succeed; null if the service did not say.</summary>
        public TimeSpan? RetryAfter { get; }

        // The detail of a type, or an empty one.
        private static T Detail<T>(Google.Rpc.Status status) where T : class, IMessage, new()
        {
            foreach (var each in status.Details)
            {
                if (each.TryUnpack(out T detail))
                {
                    return detail;
                }
            }
            return new T();
        }
    }
}
