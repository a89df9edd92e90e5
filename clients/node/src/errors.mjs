// What can go wrong, as one error that carries the service's documented reason (docs/errors.md).

import path from 'node:path';

import grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const DOMAIN = 'mdm.hochiminhcity.gov.vn';
const DETAILS_KEY = 'grpc-status-details-bin';

/** A call failed. Handle it by `reason`; the text is for people and may change. */
export class MdmError extends Error {
  constructor(code, message, details = {}) {
    const reason = details.reason ?? '';
    super(`${reason || grpc.status[code]}: ${message}`);
    this.name = 'MdmError';
    /** Of grpc.status. */
    this.code = code;
    /** A name of mdm.v1.ErrorReason without its prefix; empty if the service did not answer. */
    this.reason = reason;
    /** Facts of the reason, for example `error_id` or `deadline_s_max`. */
    this.metadata = details.metadata ?? {};
    /** Fields of the request that are wrong, each with the rule that it breaks: [{field, description}]. */
    this.fieldViolations = details.fieldViolations ?? [];
    /** States that the request contradicts: [{type, subject, description}]. */
    this.preconditionViolations = details.preconditionViolations ?? [];
    /** Milliseconds after which a repetition may succeed; undefined if the service did not say. */
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** Returns a function that turns an error of grpc-js into an MdmError; `protos` holds google/rpc. */
export function errorReader(protos) {
  const root = new protobuf.Root();
  root.resolvePath = (_, name) => path.join(protos, name);
  root.loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto']);
  const type = (name) => root.lookupType(`google.rpc.${name}`);
  const statusType = type('Status');
  const readers = {
    ErrorInfo: (info) => (info.domain === DOMAIN ? { reason: info.reason, metadata: { ...info.metadata } } : {}),
    BadRequest: ({ fieldViolations }) => ({
      fieldViolations: fieldViolations.map(({ field, description }) => ({ field, description })),
    }),
    PreconditionFailure: ({ violations }) => ({ preconditionViolations: violations.map((each) => ({ ...each })) }),
    RetryInfo: ({ retryDelay }) => ({ retryAfterMs: Number(retryDelay.seconds) * 1000 + retryDelay.nanos / 1e6 }),
  };

  return (error) => {
    if (error instanceof MdmError || error.metadata === undefined) return error;
    const [bytes] = error.metadata.get(DETAILS_KEY);
    const details = {};
    for (const any of bytes === undefined ? [] : statusType.decode(bytes).details) {
      const name = any.type_url.split('/google.rpc.')[1];
      if (name in readers) Object.assign(details, readers[name](type(name).decode(any.value)));
    }
    return new MdmError(error.code, error.details, details);
  };
}
