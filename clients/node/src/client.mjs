// A connection to the service: every unary call as a promise, and the change feed as an endless iteration.

import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

import { errorReader, MdmError } from './errors.mjs';

export { MdmError };

const HERE = path.dirname(fileURLToPath(import.meta.url));
const PROTOS = path.resolve(HERE, '../../../protos');
const SERVICE_CONFIG = path.resolve(HERE, '../../service_config.json');

const OPTIONS = {
  // 500 golden records with all their members are under 20 MiB.
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  // A dead connection is noticed within 70 s; the service allows a ping every 10 s.
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // A service that restarts is found again within two seconds.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
};
const SINGLE_MS = 5_000;
const BATCH_MS = 60_000;
const WATCH_BACKOFF_MS_MAX = 2_000;
const WATCH_RETRIED = new Set([grpc.status.UNAVAILABLE, grpc.status.RESOURCE_EXHAUSTED, grpc.status.CANCELLED]);

const lowerFirst = (name) => name[0].toLowerCase() + name.slice(1);

/**
 * Each unary call of the interface is `client.<service>.<call>(request, {deadlineMs})` and returns a promise:
 * `client.lookup.batchLookup({registry: 'hospital', …})`, `client.registry.upsertRecord({record})`.
 * Fields are in camelCase, enumerations are their names, 64-bit numbers are strings.
 *
 * Every call has a deadline. Reads, and writes by their requestId, are tried again while the service is away or sheds
 * load, as clients/service_config.json says. A write gets a requestId and the caller unless the request has them.
 */
export class MdmClient {
  #channel;
  #readError;

  /**
   * @param target `HOST:PORT`.
   * @param options `actor` and `purpose`: who writes and what for, no personal data. `credentials`: for TLS; without
   * them nothing is encrypted. `protos`, `serviceConfig`: where these files of the project lie.
   */
  constructor(target, options = {}) {
    const { actor = '', purpose = '', credentials = grpc.credentials.createInsecure() } = options;
    const { protos = PROTOS, serviceConfig = SERVICE_CONFIG } = options;
    const config = readFileSync(serviceConfig, 'utf8');
    this.#readError = errorReader(protos);
    this.#channel = new grpc.Channel(target, credentials, { ...OPTIONS, 'grpc.service_config': config });

    const limits = new Map();
    for (const { name, timeout } of JSON.parse(config).methodConfig) {
      for (const { service, method } of name) limits.set(`/${service}/${method}`, Number.parseFloat(timeout) * 1000);
    }
    const files = readdirSync(path.join(protos, 'mdm/v1')).map((name) => `mdm/v1/${name}`);
    const definitions = protoLoader.loadSync(files, {
      includeDirs: [protos],
      longs: String,
      enums: String,
      defaults: true,
      arrays: true,
    });
    for (const [name, { service }] of Object.entries(grpc.loadPackageDefinition(definitions).mdm.v1)) {
      if (service === undefined) continue;
      const Stub = grpc.makeGenericClientConstructor(service, name);
      const stub = new Stub(target, credentials, { channelOverride: this.#channel });
      const calls = (this[lowerFirst(name.replace(/Service$/, ''))] = {});
      for (const [method, definition] of Object.entries(service)) {
        calls[lowerFirst(method)] = definition.responseStream || definition.requestStream
          ? (request, callOptions = {}) => stub[method](request, callOptions)
          : this.#unary(stub, method, definition, limits.get(definition.path), { actor, purpose });
      }
    }
  }

  /** Resolves once the service can be reached; rejects if it can't be in time. */
  ready(timeoutMs) {
    const until = Date.now() + timeoutMs;
    const wait = (resolve, reject) => {
      const state = this.#channel.getConnectivityState(true);
      if (state === grpc.connectivityState.READY) return resolve();
      this.#channel.watchConnectivityState(state, until, (error) =>
        error ? reject(new MdmError(grpc.status.UNAVAILABLE, 'no service answers')) : wait(resolve, reject));
    };
    return new Promise(wait);
  }

  /** Closes the connection; calls under way fail. */
  close() {
    this.#channel.close();
  }

  /**
   * Yields what happened to golden IDs, in order and without end: {changes, token, isCurrent}. Keep the token with what
   * you make of the changes. While the service is away the feed waits and goes on behind the last token; FEED_RESET is
   * thrown: begin with an export. Leaving the iteration ends the call.
   *
   * @param request `after`: a token, or `start`: 'WATCH_START_BEGINNING' or 'WATCH_START_NOW'; `registries`,
   * `entityKind`, `changeTypes`: what is told.
   */
  async *watch({ after = '', start = 'WATCH_START_UNSPECIFIED', ...filter } = {}) {
    for (let failures = 0; ; failures += 1) {
      const from = after ? { after: { value: after } } : { start };
      const call = this.change.watch({ ...filter, ...from });
      try {
        let moves = [];
        const changes = [];
        for await (const message of call) {
          failures = 0;
          for (const event of message.events) {
            moves.push(...event.moves);
            if (event.isContinued) continue;
            changes.push({ happenedAt: event.happenedAt, effects: event.effects, moves });
            moves = [];
          }
          if (!message.token?.value) continue;
          after = message.token.value;
          yield { changes: changes.splice(0), token: after, isCurrent: message.isCurrent };
        }
      } catch (error) {
        const told = this.#readError(error);
        if (!WATCH_RETRIED.has(told.code)) throw told;
        const backoffMs = Math.min(WATCH_BACKOFF_MS_MAX, 100 * 2 ** Math.min(failures, 10));
        await sleep(told.retryAfterMs ?? backoffMs * (0.5 + Math.random() / 2));
      } finally {
        // A call that ends unread tells its end as an error, which nobody waits for any more.
        call.on('error', () => {});
        call.cancel();
      }
    }
  }

  #unary(stub, method, definition, limitMs, caller) {
    const fields = new Set(definition.requestType.type.field.map(({ name }) => name));
    const defaultMs = limitMs > 10_000 ? BATCH_MS : SINGLE_MS;
    return (request, { deadlineMs = defaultMs } = {}) => {
      const filled = { ...request };
      if (fields.has('requestId') || fields.has('request_id')) filled.requestId ||= randomUUID();
      if (fields.has('caller')) filled.caller ??= caller;
      return new Promise((resolve, reject) => {
        stub[method](filled, { deadline: Date.now() + deadlineMs }, (error, answer) =>
          error ? reject(this.#readError(error)) : resolve(answer));
      });
    };
  }
}
