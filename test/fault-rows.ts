/** A test, by its file in `test/` and words of its name, or of the row of a table that it is made of. */
export type RowTest = readonly [file: string, words: string]

/**
 * The tests of what can go wrong: a part of the list of faults and attacks for each subject, a row for each of them. A part that is begun
 * names every row that must hold; another part is one more entry.
 */
export interface FaultPart {
  readonly about: string
  /** Numbers of the rows that must hold. */
  readonly must: readonly number[]
  readonly tests: Readonly<Record<number, readonly RowTest[]>>
}

const upTo = (last: number, without: readonly number[] = []) =>
  Array.from({ length: last }, (_, i) => i + 1).filter((row) => !without.includes(row))

export const FAULT_PARTS: Readonly<Record<string, FaultPart>> = {
  A: {
    about: 'the surface of GraphQL',
    must: upTo(25, [17, 19]),
    tests: {
      1: [['graphql/hostile-work.test.ts', 'A1: 101 to 10,000 aliases']],
      2: [
        ['graphql/loaders.test.ts', 'are one for many aliases of one field'],
        ['server/payload-sources.test.ts', 'and for 15 aliases in one query'],
      ],
      3: [['graphql/hostile-work.test.ts', 'A3: fragments that double']],
      4: [['graphql/limits.test.ts', 'circular fragments']],
      5: [['graphql/limits.test.ts', 'a chain of 5,000 fragments']],
      6: [['graphql/hostile-work.test.ts', 'A6: thousands of directives']],
      7: [['graphql/hostile.test.ts', 'A7: overlaps']],
      8: [['graphql/limits.test.ts', 'get no guess at what was meant']],
      9: [['server/graphql-route.test.ts', 'refuses batches']],
      10: [['e2e/hostile-load.test.ts', 'A10: keeps nothing']],
      11: [
        ['e2e/hostile-load.test.ts', 'A11: stops to read'],
        ['server/http.test.ts', 'is not read on'],
      ],
      12: [
        ['e2e/hostile-load.test.ts', 'A12: serves everybody else'],
        ['e2e/slow-clients.test.ts', 'comes drop by drop'],
        ['server/capture-route.test.ts', 'is given up when it sends byte by byte'],
      ],
      13: [['graphql/lists.test.ts', 'refuse sizes and cursors that cannot be']],
      14: [['graphql/limits.test.ts', 'nested pages by literals']],
      15: [
        ['server/graphql-route.test.ts', 'refuses a query that a page of another site'],
        ['server/graphql-route.test.ts', 'runs nothing of a body that is not declared as JSON'],
      ],
      16: [['e2e/hostile-load.test.ts', 'A16: does not unpack']],
      18: [
        ['server/event-writer.test.ts', 'for one stream more than there may be'],
        ['server/graphql-socket.test.ts', 'one too many'],
      ],
      20: [['e2e/secret-errors.test.ts', 'A20: an error with secrets']],
      21: [
        ['graphql/hostile-text.test.ts', 'A21: by PUT'],
        ['graphql/ids.test.ts', 'that cannot exist are'],
      ],
      22: [['graphql/lists.test.ts', 'answer whatever a cursor was changed to']],
      23: [['server/departures.test.ts', 'has a deadline as a whole']],
      24: [['server/cors.test.ts', 'lets no other page read']],
      25: [['server/http.test.ts', 'lead to the configured host']],
    },
  },
  B: {
    about: 'storage URIs and files',
    must: upTo(19, [2, 10]),
    tests: {
      1: [['graphql/errors.test.ts', 'opens no connection for a URI']],
      3: [['graphql/download.test.ts', 'where the settings do not allow the address']],
      4: [['graphql/deletes.test.ts', 'of a foreign row leave an object']],
      5: [['storage/uri.test.ts', 'rejects a bucket that is no bucket name']],
      6: [['storage/uri.test.ts', 'is of a scheme that is listed']],
      7: [['storage/uri.test.ts', 'rejects dot segments, however']],
      8: [['storage/file/file-backend.test.ts', 'does not read a sibling']],
      9: [['storage/file/file-backend.test.ts', 'never serves what a link swapped in']],
      11: [['storage/file/file-backend.test.ts', 'refuses pipes, sockets, devices']],
      12: [['graphql/hostile.test.ts', 'B12: a file of a tebibyte']],
      13: [
        ['storage/uri.test.ts', 'has no control characters'],
        ['storage/file/file-backend.test.ts', 'refuses names that the file system has not'],
      ],
      14: [['storage/s3/s3-backend.test.ts', 'give the object of every key']],
      15: [['storage/s3/faults.test.ts', 'is not followed']],
      16: [['storage/s3/faults.test.ts', 'an endless error']],
      17: [['storage/s3/faults.test.ts', 'where 10 were announced ends with an error']],
      18: [['server/capture-encodings.test.ts', 'OBJECT_CORRUPT once its object holds something else']],
      19: [['schema.test.ts', 'takes no place of storage from a client']],
    },
  },
  C: {
    about: 'signed links',
    must: upTo(16, [8, 9]),
    tests: {
      1: [
        ['storage/links/signed-link.test.ts', 'is refused when any one character differs'],
        ['server/signed-links.test.ts', 'when any one character of its query'],
      ],
      2: [['storage/links/signed-link.test.ts', 'with an expiry that only Number() would take']],
      3: [['server/signed-links.test.ts', 'has one spelling']],
      4: [['storage/links/signed-link.test.ts', 'with a signature of another form']],
      5: [
        ['server/signed-links.test.ts', 'opens no other snapshot'],
        ['server/signed-links.test.ts', 'is for GET and HEAD alone'],
      ],
      6: [['server/signed-links.test.ts', 'dies with its snapshot']],
      7: [['server/links-over-time.test.ts', 'outlive a new secret']],
      10: [
        ['server/signed-links.test.ts', 'sets no header by way of the file name'],
        ['e2e/links-in-a-browser.test.ts', 'nothing in it runs'],
      ],
      11: [['storage/s3/s3-backend.test.ts', 'carry the public host']],
      12: [['storage/s3/sign.test.ts', 'ends when it says, and before they do']],
      13: [['e2e/log-session.test.ts', 'holds no secret, no signature']],
      14: [['storage/s3/s3-backend.test.ts', 'once the object is gone']],
      15: [['server/signed-links.test.ts', 'never more bytes than it has']],
      16: [['server/signed-links.test.ts', 'gives an answer that nobody keeps']],
    },
  },
  D: {
    about: 'JSON that comes and goes',
    must: upTo(11, [10]),
    tests: {
      1: [['json/scanner.test.ts', 'refuses a million levels']],
      2: [['graphql/capture.test.ts', 'keeps a key named __proto__ as data']],
      3: [['graphql/exact-json.test.ts', 'byte for byte']],
      4: [['graphql/exact-json.test.ts', 'keeps the digits of a literal']],
      5: [['json/scanner.property.test.ts', 'accepts what was written as JSON']],
      6: [['json/scanner.property.test.ts', 'agrees on any bytes between two quotes']],
      7: [['graphql/capture.test.ts', 'takes null as a payload']],
      8: [['graphql/capture.test.ts', 'counts the inline limit in bytes of UTF-8']],
      9: [['e2e/hostile-load.test.ts', 'D9: takes and looks into']],
      11: [['graphql/hostile-work.test.ts', 'D11: has a page']],
    },
  },
  J: {
    about: 'the process and what it is made of',
    must: [1, 3, 4, 5, 8, 9, 10, 12],
    tests: {
      1: [['e2e/slow-clients.test.ts', 'get what they began to download after SIGTERM']],
      3: [['e2e/unforeseen.test.ts', 'J3: ends within five seconds']],
      4: [['strict-warnings.test.ts', 'J4: a test file']],
      5: [['e2e/hostile-load.test.ts', 'J5: does not run out of it']],
      8: [['config.test.ts', 'are all wrong at once, by name and never by value']],
      9: [
        ['e2e/canaries.test.ts', 'nothing that is secret is in an answer'],
        ['log.test.ts', 'is no word of any other failure'],
      ],
      10: [['server/health.test.ts', 'J10: is asked thousands of times']],
      12: [['dependencies.test.ts', 'J12: has none of the releases']],
    },
  },
}
