// Follows the change feed and goes on where it stood: one line of JSON for each record that answers under another golden ID.
//
//   node examples/follow.mjs HOST:PORT TOKEN_FILE [REGISTRY…]
//
// Ends with exit code 3 when the token is of another epoch: begin with an export (docs/change-feed.md).

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

import { MdmClient, MdmError } from '../src/client.mjs';

const [target, tokenFile, ...registries] = process.argv.slice(2);
if (tokenFile === undefined) {
  console.error('usage: follow.mjs HOST:PORT TOKEN_FILE [REGISTRY…]');
  process.exit(2);
}

const client = new MdmClient(target, { actor: 'follower' });
const from = existsSync(tokenFile) ? { after: readFileSync(tokenFile, 'utf8') } : { start: 'WATCH_START_BEGINNING' };
try {
  for await (const { changes, token } of client.watch({ ...from, registries, checkpointIntervalS: 1 })) {
    for (const { moves } of changes) {
      for (const { key, oldGoldenId, newGoldenId } of moves) {
        console.log(JSON.stringify({ record: key?.recordId ?? null, from: oldGoldenId, to: newGoldenId }));
      }
    }
    // After the changes: a break in between tells some of them again, and telling one twice does no harm.
    writeFileSync(`${tokenFile}.new`, token);
    renameSync(`${tokenFile}.new`, tokenFile);
  }
} catch (error) {
  if (!(error instanceof MdmError) || error.reason !== 'FEED_RESET') throw error;
  console.error('FEED_RESET: begin with an export');
  process.exitCode = 3;
} finally {
  client.close();
}
