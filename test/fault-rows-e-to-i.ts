import type { FaultPart } from './fault-rows.ts'

/** The parts about what a server depends on, and about what it has acknowledged. */
export const FAULT_PARTS_E_TO_I: Readonly<Record<string, FaultPart>> = {
  E: {
    about: 'PostgreSQL',
    must: [1, 2, 3, 4, 5, 6, 8, 9, 10, 13],
    tests: {
      1: [
        ['e2e/serve.test.ts', 'N8: lives, is not ready, and is when the database is there'],
        ['server/health.test.ts', 'without the database is alive, not ready, and ready again'],
        ['graphql/masking.test.ts', 'is DATABASE_UNAVAILABLE, which may be retried'],
      ],
      2: [
        ['db/errors.test.ts', 'E2: reads once more what was under way'],
        ['db/errors.test.ts', 'E2: reads twice at most'],
        ['db/statements.test.ts', 'E2: statements that only read'],
      ],
      3: [
        ['db/errors.test.ts', 'E3: is DATABASE_TIMEOUT where nothing answers'],
        ['outages/outages.test.ts', 'L9, E3: PostgreSQL'],
      ],
      4: [['faults/postgres.test.ts', 'E4: whose every answer takes 300 ms']],
      5: [['db/errors.test.ts', 'is OVERLOADED after two seconds without a free connection']],
      6: [
        ['db/errors.test.ts', 'fails with the code of what happened'],
        ['server/departures.test.ts', 'leaves no statement behind'],
      ],
      7: [['db/errors.test.ts', 'fails with the code of what happened']],
      8: [
        ['faults/postgres.test.ts', 'E8: is DATABASE_UNAVAILABLE for whatever it lacks'],
        ['faults/postgres.test.ts', 'E8: is used again once it has connections to give'],
        ['db/errors.test.ts', 'says that it takes no writes'],
      ],
      9: [
        ['faults/postgres.test.ts', 'E9: is stored once by a retry with its key'],
        ['snapshots/capture/writer.test.ts', 'is found where the commit was done and only its reply was lost'],
      ],
      10: [['db/errors.test.ts', 'gives an error where a reply breaks in its middle']],
      11: [['e2e/serve.test.ts', 'S9: ends with a message when it turns out to lack its tables']],
      13: [
        ['e2e/serve.test.ts', 'E13: goes on by itself when its database is killed'],
        ['db/embedded/embedded.test.ts', 'refuses a second start while the first one lives'],
        ['db/embedded/embedded.test.ts', 'is started again at the same URL when it dies'],
      ],
    },
  },
  F: {
    about: 'caches',
    must: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
    tests: {
      1: [
        ['cache/valkey-faults.test.ts', 'misses while the server is away, and comes back with it'],
        ['cache/valkey-faults.test.ts', 'starts while the server is down'],
      ],
      2: [
        ['cache/valkey-faults.test.ts', 'gives up on a silent server after five reads'],
        ['outages/outages.test.ts', 'F-2: Valkey: nobody is told'],
      ],
      3: [['cache/valkey-faults.test.ts', 'gives up on a server that answers too late']],
      4: [
        ['faults/caches.test.ts', 'F-4: is done without'],
        ['cache/valkey.test.ts', 'goes on reading from a server that refuses writes'],
        ['cache/valkey.test.ts', 'tells of a wrong password once'],
      ],
      5: [['faults/caches.test.ts', 'F-5: that is emptied while it is read from']],
      6: [['server/payload-sources.test.ts', 'N10: is fetched once for many cold readers']],
      7: [
        ['cache/valkey.test.ts', ', and drops it'],
        ['cache/valkey.test.ts', 'never serves the value of another key'],
      ],
      8: [['cache/valkey-faults.test.ts', 'never mixes answers while connections break']],
      9: [['graphql/deletes.test.ts', 'never lets a deleted payload be read again']],
      10: [['faults/caches.test.ts', 'F-10: knows nothing of what was looked for before']],
      11: [['contract/byte-cache.ts', 'keeps an entry of exactly the largest size, and leaves out a larger one']],
      12: [['cache/envelope.test.ts', 'does not take the start of the bytes for the end of the key']],
      13: [['cache/memory.test.ts', 'holds no more bytes than it may']],
      14: [['graphql/errors.test.ts', 'is read again once storage is back']],
    },
  },
  G: {
    about: 'object stores and files',
    // Left parts, refused deletes, full disks and killed writers are with what is deleted and kept.
    must: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 21],
    tests: {
      1: [
        ['storage/s3/outage.test.ts', 'G1: is told as fast where it refuses connections'],
        ['storage/s3/faults.test.ts', 'a refused connection is STORAGE_UNAVAILABLE for every method'],
        ['outages/outages.test.ts', 'G1, G5: S3: what needs no store goes on as ever'],
      ],
      2: [['storage/s3/faults.test.ts', 'outlasts a store that is busy twice']],
      3: [
        ['storage/s3/faults.test.ts', 'gives up after three attempts'],
        ['storage/s3/faults.test.ts', 'does not make a storm of many requests that fail'],
      ],
      4: [['storage/s3/faults.test.ts', '502']],
      5: [
        ['storage/s3/outage.test.ts', 'G5: is asked no more after some requests'],
        ['storage/s3/faults.test.ts', 'a store that never answers is STORAGE_TIMEOUT'],
        ['storage/s3/broken-puts.test.ts', 'is told in the time of a small request, whatever the size'],
      ],
      6: [
        ['storage/resume.test.ts', 'goes on when nothing more comes'],
        ['storage/resume.test.ts', 'ends with an error when its time is over'],
      ],
      7: [
        ['e2e/upstream-reset.test.ts', 'is taken up again where it broke off'],
        ['storage/s3/outage.test.ts', 'G7, F6: asks the store once each time'],
      ],
      8: [['e2e/upstream-reset.test.ts', 'breaks the connection of the client when it stays away']],
      9: [['storage/s3/faults.test.ts', ' ends with an error']],
      10: [
        ['graphql/integrity.test.ts', 'becomes a MISMATCH when a later read finds other bytes'],
        ['server/payload-sources.test.ts', 'is fetched once'],
      ],
      11: [
        ['storage/resume.test.ts', 'is never continued by another version'],
        ['server/broken-reads.test.ts', 'never mixes two versions of an object'],
      ],
      12: [
        ['graphql/errors.test.ts', 'storageState tells what the last read showed'],
        ['server/request-log.test.ts', 'G12: is an object of this server that is gone'],
      ],
      13: [
        ['storage/s3/clock.test.ts', 'G13: a clock that is an hour wrong'],
        ['storage/s3/s3-backend.test.ts', 'are STORAGE_UNAVAILABLE, not a missing object'],
      ],
      14: [['storage/s3/create-only.test.ts', 'know their own object when the answer was lost']],
      15: [['storage/s3/faults.test.ts', 'a conditional write that met another one']],
      16: [['storage/s3/create-only.test.ts', 'look first where the store cannot take a condition']],
      21: [['storage/resume.test.ts', 'all of what was opened']],
    },
  },
  H: {
    about: 'clients that stream',
    must: [1, 2, 3, 4, 6, 9],
    tests: {
      1: [
        ['faults/clients.test.ts', 'H1: lets the store go at once'],
        ['e2e/transfers.test.ts', 'downloads that are broken off leave no descriptor open'],
      ],
      2: [
        ['server/slow-readers.test.ts', 'is cut in time when it takes nothing'],
        ['server/payload-transfer.test.ts', 'a client that stops reading is cut, and the store let go'],
      ],
      3: [['server/slow-readers.test.ts', 'when it is as fast as it must be']],
      4: [['snapshots/source/admission.test.ts', 'has null in place of large payloads']],
      5: [['server/payload-transfer.test.ts', 'is asked about without its object being opened']],
      6: [['server/payload-transfer.test.ts', 'leaves the next answer on the connection intact']],
      9: [['e2e/upstream-reset.test.ts', 'breaks the connection within a second']],
    },
  },
  I: {
    about: 'what was acknowledged',
    // Killed writers, sweeps, retention and audits are with what is deleted and kept.
    must: [2, 3, 12, 13],
    tests: {
      2: [['graphql/idempotency.test.ts', 'fifty times at once is one row and one object, by its idempotencyKey']],
      3: [['graphql/idempotency.test.ts', 'other content is a conflict']],
      12: [
        ['graphql/capture.test.ts', 'creates a run and a step that are not there yet'],
        ['graphql/history.test.ts', 'leads from each snapshot to the ones before and after it'],
      ],
      13: [['faults/caches.test.ts', ' keeps no capture from being made, and none from being read']],
    },
  },
}
