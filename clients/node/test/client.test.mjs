// Against a real service: MDM_TARGET is its address, MDM_TOKENS two tokens that it can't serve (ahead, of another journal).

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import grpc from '@grpc/grpc-js';

import { MdmClient, MdmError } from '../src/client.mjs';

const PERSON = { fullName: 'Lâm Thị Ánh Tuyết', birthDate: '17/08/1958', phones: ['0907 111 205'] };
const TYPED = { fullName: 'LAM THI ANH TUYET', birthDate: '19580817', phones: ['+84907111205'] };
const [ahead, foreign] = (process.env.MDM_TOKENS ?? '').split(',');
const key = (recordId, registry = 'hospital') => ({ registry, entityKind: 'ENTITY_KIND_CITIZEN', recordId });
const record = (recordId, citizen = PERSON) => ({ key: key(recordId), attributes: { citizen } });

let client;
let goldenId;
let token;

before(async () => {
  client = new MdmClient(process.env.MDM_TARGET, { actor: 'node-tests', purpose: 'tests' });
  await client.ready(20_000);
  ({ goldenId, token } = await client.registry.upsertRecord({ record: record('N1') }));
});
after(() => client.close());

/** Returns the MdmError that a call ends with. */
async function errorOf(call) {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof MdmError, String(error));
    return error;
  }
  return assert.fail('the call succeeded');
}

test('a read that carries the token of a write sees it', async () => {
  const answer = await client.lookup.lookup({ key: key('N1'), atLeastAsFresh: token });
  assert.equal(answer.status, 'RECORD_STATUS_FOUND');
  assert.equal(answer.goldenId, goldenId);
  assert.match(goldenId, /^C-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]$/);
});

test('a batch is answered as columns in the order asked', async () => {
  const recordIds = ['N1', 'nobody', 'N1'];
  const request = { registry: 'hospital', entityKind: 'ENTITY_KIND_CITIZEN', recordIds, atLeastAsFresh: token };
  const answer = await client.lookup.batchLookup(request);
  assert.deepEqual(answer.goldenIds, [goldenId, '', goldenId]);
  const statuses = ['RECORD_STATUS_FOUND', 'RECORD_STATUS_NOT_FOUND', 'RECORD_STATUS_FOUND'];
  assert.deepEqual(answer.statuses, statuses);
});

test('a bearer is found by what a clerk types, and nothing is written', async () => {
  const { result } = await client.match.match({ attributes: { citizen: TYPED }, atLeastAsFresh: token });
  assert.equal(result.candidates[0].goldenId, goldenId);
  assert.equal(result.candidates[0].grade, 'MATCH_GRADE_CERTAIN');
  assert.ok(result.candidates[0].matchWeightBits > 0);
  const resolved = await client.match.resolve({ mode: 'RESOLVE_MODE_FIND_ONLY', attributes: { citizen: TYPED } });
  assert.equal(resolved.goldenId, goldenId);
});

test('a golden record shows where its values come from', async () => {
  const { goldenRecord } = await client.goldenRecord.getGoldenRecord({ goldenId, atLeastAsFresh: token });
  const name = goldenRecord.values.find(({ field }) => field === 'full_name');
  assert.equal(name.value, PERSON.fullName);
  assert.equal(name.provenance.key.recordId, 'N1');
});

test('a repeated requestId gets the first answer, and other content an error', async () => {
  const requestId = randomUUID();
  const first = await client.registry.upsertRecord({ record: record('N2'), requestId });
  const again = await client.registry.upsertRecord({ record: record('N2'), requestId });
  assert.deepEqual(again, first);
  const error = await errorOf(client.registry.upsertRecord({ record: record('N3'), requestId }));
  assert.equal(error.reason, 'REQUEST_ID_REUSED');
});

test('a deleted record says so', async () => {
  const { token: stored } = await client.registry.upsertRecord({ record: record('N4', { fullName: 'Vũ Văn Bốn' }) });
  const deleted = await client.registry.deleteRecord({ key: key('N4') });
  assert.equal(deleted.outcome, 'WRITE_OUTCOME_DELETED');
  assert.notDeepEqual(deleted.token, stored);
  const { status } = await client.lookup.lookup({ key: key('N4'), atLeastAsFresh: deleted.token });
  assert.equal(status, 'RECORD_STATUS_DELETED');
});

test('each field that is wrong is named with its rule', async () => {
  const error = await errorOf(client.lookup.lookup({ key: key('N1', 'Not A Registry') }));
  assert.equal(error.code, grpc.status.INVALID_ARGUMENT);
  assert.equal(error.reason, 'INVALID_FIELD');
  assert.deepEqual(error.fieldViolations.map(({ field }) => field), ['key.registry']);
  assert.ok(error.fieldViolations[0].description.length > 10);
});

test('what does not exist has a reason', async () => {
  const error = await errorOf(client.registry.getRecord({ key: key('nobody') }));
  assert.equal(error.code, grpc.status.NOT_FOUND);
  assert.equal(error.reason, 'RECORD_NOT_FOUND');
});

test('an error says after which time it pays to try again', async (context) => {
  // Whoever tries again by itself has the deadline behind it when the last try ends: here the first answer counts.
  const config = JSON.parse(readFileSync(new URL('../../service_config.json', import.meta.url), 'utf8'));
  for (const entry of config.methodConfig) delete entry.retryPolicy;
  const serviceConfig = path.join(mkdtempSync(path.join(tmpdir(), 'mdm-')), 'service_config.json');
  writeFileSync(serviceConfig, JSON.stringify(config));
  const once = new MdmClient(process.env.MDM_TARGET, { serviceConfig });
  context.after(() => {
    once.close();
    rmSync(path.dirname(serviceConfig), { recursive: true });
  });
  const request = { key: key('N1'), atLeastAsFresh: { value: ahead } };
  let error;
  let tries = 0;
  do {
    // The service answers just before the deadline: on a busy machine the deadline may win.
    error = await errorOf(once.lookup.lookup(request, { deadlineMs: 1_000 }));
    tries += 1;
  } while (error.code === grpc.status.DEADLINE_EXCEEDED && tries < 10);
  assert.equal(error.reason, 'NOT_FRESH_ENOUGH');
  assert.equal(error.retryAfterMs, 100);
});

test('a call that takes too long ends by its deadline', async () => {
  const error = await errorOf(client.lookup.lookup({ key: key('N1') }, { deadlineMs: 0 }));
  assert.equal(error.code, grpc.status.DEADLINE_EXCEEDED);
});

test('a deadline that the service would refuse is cut to what it takes', async () => {
  for (const deadlineMs of [3_600_000, Infinity]) {
    const { status } = await client.lookup.lookup({ key: key('N1') }, { deadlineMs });
    assert.equal(status, 'RECORD_STATUS_FOUND');
  }
});

test('the feed tells a record that got its golden ID, and where to go on', async () => {
  const seen = [];
  let last = '';
  for await (const batch of client.watch({ start: 'WATCH_START_BEGINNING', checkpointIntervalS: 1 })) {
    seen.push(...batch.changes.flatMap(({ moves }) => moves));
    last = batch.token;
    if (batch.isCurrent) break;
  }
  assert.ok(seen.some((move) => move.key?.recordId === 'N1' && move.newGoldenId === goldenId));
  await client.registry.upsertRecord({ record: record('N5', { fullName: 'Hồ Thị Năm', birthDate: '1970' }) });
  for await (const batch of client.watch({ after: last, checkpointIntervalS: 1 })) {
    const records = batch.changes.flatMap(({ moves }) => moves.map((move) => move.key.recordId));
    if (records.length === 0) continue;
    assert.deepEqual(records, ['N5']);
    break;
  }
});

test('a token of another journal says begin anew', async () => {
  const feed = client.watch({ after: foreign });
  const error = await errorOf(feed.next());
  assert.equal(error.reason, 'FEED_RESET');
  assert.equal(error.preconditionViolations[0].type, 'RESET');
});

test('a service that is not there is unavailable', async () => {
  const away = new MdmClient('127.0.0.1:1');
  const error = await errorOf(away.lookup.lookup({ key: key('N1') }, { deadlineMs: 10_000 }));
  assert.equal(error.code, grpc.status.UNAVAILABLE);
  assert.equal(error.reason, '');
  away.close();
});
