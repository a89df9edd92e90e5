// What the C# client uses of packages that Debian does not have: signatures only, for a compiler, simplified where the
// client can't tell. Those of Grpc, System.Net.Http and System.Text.Json were compared with their published sources by
// eye; no test does so. Nothing here runs. What is wrong both here and in the client passes.
using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace System.Runtime.CompilerServices
{
    // Google.Protobuf's own use; Mono has it, but not for others.
    internal static class Unsafe
    {
        public static T ReadUnaligned<T>(ref byte source) => throw new NotSupportedException();
        public static void WriteUnaligned<T>(ref byte destination, T value) => throw new NotSupportedException();
        public static ref TTo As<TFrom, TTo>(ref TFrom source) => throw new NotSupportedException();
        public static ref T Add<T>(ref T source, int offset) => throw new NotSupportedException();
        public static ref T AddByteOffset<T>(ref T source, IntPtr offset) => throw new NotSupportedException();
    }
}

namespace System.Text.Json
{
    public sealed class JsonDocument : IDisposable
    {
        public static JsonDocument Parse(string json) => throw new NotSupportedException();
        public JsonElement RootElement => throw new NotSupportedException();
        public void Dispose() => throw new NotSupportedException();
    }

    public struct JsonElement
    {
        public JsonElement GetProperty(string name) => throw new NotSupportedException();
        public bool TryGetProperty(string name, out JsonElement value) => throw new NotSupportedException();
        public IEnumerable<JsonElement> EnumerateArray() => throw new NotSupportedException();
        public string GetString() => throw new NotSupportedException();
        public int GetInt32() => throw new NotSupportedException();
        public double GetDouble() => throw new NotSupportedException();
    }
}

namespace System.Net.Http
{
    public abstract class HttpMessageHandler
    {
    }

    public sealed class SocketsHttpHandler : HttpMessageHandler
    {
        public TimeSpan KeepAlivePingDelay { get; set; }
        public TimeSpan KeepAlivePingTimeout { get; set; }
        public HttpKeepAlivePingPolicy KeepAlivePingPolicy { get; set; }
    }

    public enum HttpKeepAlivePingPolicy
    {
        WithActiveRequests, Always,
    }
}

namespace Grpc.Core
{
    public enum StatusCode
    {
        OK, Cancelled, Unknown, InvalidArgument, DeadlineExceeded, NotFound, AlreadyExists, PermissionDenied,
        ResourceExhausted, FailedPrecondition, Aborted, OutOfRange, Unimplemented, Internal, Unavailable, DataLoss,
        Unauthenticated,
    }

    public sealed class Metadata
    {
        public byte[] GetValueBytes(string key) => throw new NotSupportedException();
    }

    public class RpcException : Exception
    {
        public StatusCode StatusCode => throw new NotSupportedException();
        public Metadata Trailers => throw new NotSupportedException();
    }

    public struct CallOptions
    {
        public DateTime? Deadline => throw new NotSupportedException();
        public CallOptions WithDeadline(DateTime deadline) => throw new NotSupportedException();
    }

    public sealed class Method<TRequest, TResponse>
    {
        public string FullName => throw new NotSupportedException();
    }

    public abstract class CallInvoker
    {
    }

    public interface IAsyncStreamReader<out T>
    {
        T Current { get; }
        Task<bool> MoveNext(CancellationToken cancellationToken);
    }

    public sealed class AsyncUnaryCall<TResponse>
    {
    }

    public sealed class AsyncServerStreamingCall<TResponse>
    {
        public IAsyncStreamReader<TResponse> ResponseStream => throw new NotSupportedException();
    }
}

namespace Grpc.Core.Interceptors
{
    public struct ClientInterceptorContext<TRequest, TResponse> where TRequest : class where TResponse : class
    {
        public ClientInterceptorContext(Method<TRequest, TResponse> method, string host, CallOptions options) => throw new NotSupportedException();
        public Method<TRequest, TResponse> Method => throw new NotSupportedException();
        public string Host => throw new NotSupportedException();
        public CallOptions Options => throw new NotSupportedException();
    }

    public abstract class Interceptor
    {
        public delegate TResponse BlockingUnaryCallContinuation<TRequest, TResponse>(
            TRequest request, ClientInterceptorContext<TRequest, TResponse> context) where TRequest : class where TResponse : class;

        public delegate AsyncUnaryCall<TResponse> AsyncUnaryCallContinuation<TRequest, TResponse>(
            TRequest request, ClientInterceptorContext<TRequest, TResponse> context) where TRequest : class where TResponse : class;

        public delegate AsyncServerStreamingCall<TResponse> AsyncServerStreamingCallContinuation<TRequest, TResponse>(
            TRequest request, ClientInterceptorContext<TRequest, TResponse> context) where TRequest : class where TResponse : class;

        public virtual TResponse BlockingUnaryCall<TRequest, TResponse>(
            TRequest request, ClientInterceptorContext<TRequest, TResponse> context,
            BlockingUnaryCallContinuation<TRequest, TResponse> continuation)
            where TRequest : class where TResponse : class => throw new NotSupportedException();

        public virtual AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
            TRequest request, ClientInterceptorContext<TRequest, TResponse> context,
            AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
            where TRequest : class where TResponse : class => throw new NotSupportedException();

        public virtual AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
            TRequest request, ClientInterceptorContext<TRequest, TResponse> context,
            AsyncServerStreamingCallContinuation<TRequest, TResponse> continuation)
            where TRequest : class where TResponse : class => throw new NotSupportedException();
    }

    public static class CallInvokerExtensions
    {
        public static CallInvoker Intercept(this CallInvoker invoker, Interceptor interceptor) => throw new NotSupportedException();
    }
}

namespace Grpc.Net.Client
{
    public sealed class GrpcChannelOptions
    {
        public Configuration.ServiceConfig ServiceConfig { get; set; }
        public int? MaxReceiveMessageSize { get; set; }
        public System.Net.Http.HttpMessageHandler HttpHandler { get; set; }
        public bool DisposeHttpClient { get; set; }
    }

    public sealed class GrpcChannel : IDisposable
    {
        public static GrpcChannel ForAddress(string address, GrpcChannelOptions options) => throw new NotSupportedException();
        public Grpc.Core.CallInvoker CreateCallInvoker() => throw new NotSupportedException();
        public void Dispose() => throw new NotSupportedException();
    }
}

namespace Grpc.Net.Client.Configuration
{
    public sealed class ServiceConfig
    {
        public IList<MethodConfig> MethodConfigs => throw new NotSupportedException();
    }

    public sealed class MethodConfig
    {
        public IList<MethodName> Names => throw new NotSupportedException();
        public RetryPolicy RetryPolicy { get; set; }
    }

    public sealed class MethodName
    {
        public string Service { get; set; }
        public string Method { get; set; }
    }

    public sealed class RetryPolicy
    {
        public int? MaxAttempts { get; set; }
        public TimeSpan? InitialBackoff { get; set; }
        public TimeSpan? MaxBackoff { get; set; }
        public double? BackoffMultiplier { get; set; }
        public IList<Grpc.Core.StatusCode> RetryableStatusCodes => throw new NotSupportedException();
    }
}
