using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Net.Http;
using System.Text.Json;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using Grpc.Net.Client.Configuration;
using HcmMdm.V1;

namespace HcmMdm
{
    /// <summary>
    /// A connection for the generated stubs: <c>new LookupService.LookupServiceClient(mdm.Invoker)</c>.
    ///
    /// Deadlines and retries are those of clients/service_config.json: a call without a deadline of its own gets the
    /// longest that the service takes, reads are tried again while the service is away, and so are writes, which get a
    /// request id and the caller unless the request has them.
    /// </summary>
    public sealed class MdmChannel : IDisposable
    {
        // 500 golden records with all their members are under 20 MiB.
        private const int MessageBytesMax = 64 * 1024 * 1024;

        private readonly GrpcChannel channel;

        /// <summary>Prepares a connection; it opens with the first call.</summary>
        /// <param name="address"><c>http://HOST:PORT</c>, or <c>https</c> for TLS</param>
        /// <param name="serviceConfig">where clients/service_config.json lies</param>
        /// <param name="caller">who writes and what for, no personal data</param>
        /// <param name="isRetrying">whether failed calls are tried again, as the service config says</param>
        public MdmChannel(string address, string serviceConfig, Caller caller, bool isRetrying = true)
        {
            var limits = new Dictionary<string, TimeSpan>();
            var config = new ServiceConfig();
            using (var json = JsonDocument.Parse(File.ReadAllText(serviceConfig)))
            {
                foreach (var entry in json.RootElement.GetProperty("methodConfig").EnumerateArray())
                {
                    config.MethodConfigs.Add(Read(entry, limits, isRetrying));
                }
            }
            channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions
            {
                ServiceConfig = config,
                MaxReceiveMessageSize = MessageBytesMax,
                HttpHandler = new SocketsHttpHandler
                {
                    // A dead connection is noticed within 70 s; the service allows a ping every 10 s.
                    KeepAlivePingDelay = TimeSpan.FromSeconds(60),
                    KeepAlivePingTimeout = TimeSpan.FromSeconds(10),
                    KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
                },
                DisposeHttpClient = true,
            });
            Invoker = channel.CreateCallInvoker().Intercept(new Filling(caller, limits));
        }

        /// <summary>What generated stubs are made of.</summary>
        public CallInvoker Invoker { get; }

        /// <summary>Closes the connection; calls under way fail.</summary>
        public void Dispose()
        {
            channel.Dispose();
        }

        // .NET reads retries from its own classes and no deadlines at all: these are kept for the interceptor.
        private static MethodConfig Read(JsonElement entry, Dictionary<string, TimeSpan> limits, bool isRetrying)
        {
            var config = new MethodConfig();
            foreach (var name in entry.GetProperty("name").EnumerateArray())
            {
                var service = name.GetProperty("service").GetString();
                var method = name.GetProperty("method").GetString();
                config.Names.Add(new MethodName { Service = service, Method = method });
                if (entry.TryGetProperty("timeout", out var timeout))
                {
                    limits["/" + service + "/" + method] = Seconds(timeout);
                }
            }
            if (isRetrying && entry.TryGetProperty("retryPolicy", out var policy))
            {
                config.RetryPolicy = new RetryPolicy
                {
                    MaxAttempts = policy.GetProperty("maxAttempts").GetInt32(),
                    InitialBackoff = Seconds(policy.GetProperty("initialBackoff")),
                    MaxBackoff = Seconds(policy.GetProperty("maxBackoff")),
                    BackoffMultiplier = policy.GetProperty("backoffMultiplier").GetDouble(),
                };
                foreach (var code in policy.GetProperty("retryableStatusCodes").EnumerateArray())
                {
                    var name = code.GetString().Replace("_", "");
                    config.RetryPolicy.RetryableStatusCodes.Add((StatusCode)Enum.Parse(typeof(StatusCode), name, true));
                }
            }
            return config;
        }

        private static TimeSpan Seconds(JsonElement duration)
        {
            return TimeSpan.FromSeconds(double.Parse(duration.GetString().TrimEnd('s'), CultureInfo.InvariantCulture));
        }

        /// <summary>
        /// Gives each call its deadline, and each write its caller and a request id, so that a repetition after a break
        /// gets the first answer.
        /// </summary>
        private sealed class Filling : Interceptor
        {
            private readonly Caller caller;
            private readonly Dictionary<string, TimeSpan> limits;

            internal Filling(Caller caller, Dictionary<string, TimeSpan> limits)
            {
                this.caller = caller;
                this.limits = limits;
            }

            public override TResponse BlockingUnaryCall<TRequest, TResponse>(
                TRequest request,
                ClientInterceptorContext<TRequest, TResponse> context,
                BlockingUnaryCallContinuation<TRequest, TResponse> continuation)
            {
                return continuation(Filled(request), Limited(context));
            }

            public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
                TRequest request,
                ClientInterceptorContext<TRequest, TResponse> context,
                AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
            {
                return continuation(Filled(request), Limited(context));
            }

            public override AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
                TRequest request,
                ClientInterceptorContext<TRequest, TResponse> context,
                AsyncServerStreamingCallContinuation<TRequest, TResponse> continuation)
            {
                return continuation(Filled(request), context);
            }

            private ClientInterceptorContext<TRequest, TResponse> Limited<TRequest, TResponse>(
                ClientInterceptorContext<TRequest, TResponse> context)
                where TRequest : class
                where TResponse : class
            {
                if (!limits.TryGetValue(context.Method.FullName, out var limit))
                {
                    return context;
                }
                var longest = DateTime.UtcNow + limit;
                if (context.Options.Deadline is DateTime asked && asked < longest)
                {
                    return context;
                }
                var options = context.Options.WithDeadline(longest);
                return new ClientInterceptorContext<TRequest, TResponse>(context.Method, context.Host, options);
            }

            private TRequest Filled<TRequest>(TRequest request)
            {
                if (!(request is IMessage message))
                {
                    return request;
                }
                var requestId = message.Descriptor.FindFieldByName("request_id");
                var by = message.Descriptor.FindFieldByName("caller");
                if (requestId == null && by == null)
                {
                    return request;
                }
                var filled = ((IDeepCloneable<TRequest>)request).Clone();
                if (requestId != null && (string)requestId.Accessor.GetValue(message) == "")
                {
                    requestId.Accessor.SetValue((IMessage)filled, Guid.NewGuid().ToString());
                }
                if (by != null && by.Accessor.GetValue(message) == null)
                {
                    by.Accessor.SetValue((IMessage)filled, caller);
                }
                return filled;
            }
        }
    }
}
