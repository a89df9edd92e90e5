// An admission desk: who is this, is he known already, and what is his golden ID from now on?
//
//   node examples/admission_desk.mjs HOST:PORT RECORD_ID "FULL NAME" BIRTH_DATE [PHONE]
//
// Exit codes: 0 admitted, 1 the service refused, 2 wrong usage, 75 the service did not answer: admit by hand, send it
// again later.

import grpc from '@grpc/grpc-js';

import { MdmClient, MdmError } from '../src/client.mjs';

const [target, recordId, fullName, birthDate, phone] = process.argv.slice(2);
if (birthDate === undefined) {
  console.error('usage: admission_desk.mjs HOST:PORT RECORD_ID "FULL NAME" BIRTH_DATE [PHONE]');
  process.exit(2);
}

// What says nothing about the request: it may have been done, or nobody has looked at it yet.
const UNANSWERED = new Set([grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED, grpc.status.RESOURCE_EXHAUSTED]);

const key = { registry: 'hospital', entityKind: 'ENTITY_KIND_CITIZEN', recordId };
const attributes = { citizen: { fullName, birthDate, phones: phone ? [phone] : [] } };
const client = new MdmClient(target, { actor: 'admission-desk', purpose: 'admission' });

try {
  // 1. Look before anything is written. The clerk sees whom the service knows, and how sure it is.
  const { result } = await client.match.match({ attributes, candidateCountMax: 5 });
  for (const { goldenId, grade, matchWeightBits } of result.candidates) {
    console.log(`candidate ${goldenId} ${grade} ${matchWeightBits.toFixed(1)} bits`);
  }

  // 2. Admit. The client gives the write a requestId, so that a repetition after a break is no second admission.
  const written = await client.registry.upsertRecord({ record: { key, attributes } });
  console.log(`admitted ${written.goldenId} ${written.outcome}`);

  // 3. Read what was just written, wherever it is read: the token of the write asks for it.
  const answer = await client.lookup.lookup({ key, atLeastAsFresh: written.token });
  console.log(`looked up ${answer.goldenId} ${answer.status}`);
} catch (error) {
  if (!(error instanceof MdmError)) throw error;
  // 4. By reason, never by text. What is wrong with the request is named field by field.
  const isUnanswered = UNANSWERED.has(error.code);
  console.error(`${isUnanswered ? 'unanswered' : 'refused'} ${error.reason || grpc.status[error.code]}`);
  for (const { field, description } of error.fieldViolations) console.error(`  ${field}: ${description}`);
  if (error.retryAfterMs !== undefined) console.error(`  again in ${error.retryAfterMs} ms`);
  process.exitCode = isUnanswered ? 75 : 1;
} finally {
  client.close();
}
