import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { readObjectLines } from '../../src/transfer/json-lines.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/tmp.ts'
import { imported, kept } from './moves.ts'

const EXACT = '{"a":1.0,"a":-0,\t"n":1e400,"s":"\\"}\\\\", "payload":[{}, "]"]}'
const LARGE = JSON.stringify({ text: 'é'.repeat(1_500_000), list: [1, 2, { three: '"' }] })

describe('states of elsewhere', { concurrency: true }, () => {
  let folder: TemporaryFolder
  before(async () => {
    folder = await temporaryFolder()
  })
  after(() => folder[Symbol.asyncDispose]())

  it('come from lines byte for byte, and once', async () => {
    await using server = await startServer()
    const path = `${folder.path}/states.jsonl`
    const lines = [
      `{"runId":"a","stepId":"s","kind":"INPUT","payload": ${EXACT} ,"metadata":{"m": 1.0}}`,
      `  {"payload":${LARGE},"stepId":"s","runId":"a","createdAt":"2025-01-01T00:00:00Z","piiTags":["x"]}\r`,
      '',
      '{"payload":"only","stepId":"s"}',
      '{"pay\\u006coad":1,"runId":"a"}',
      '{"runId":"a","payload":}',
      '{"runId":"a","payload":[1,}',
      '{"runId":"a","payload":1',
      '{"runId":"a","payload":1,"kind":"ODD"}',
      '{"runId":"a","payload":1,"colour":2}',
      '[1]',
      '{"runId":"b","attempt":2,"payload":null}',
    ]
    await writeFile(path, lines.join('\n'))
    const looked = await imported(server, { words: [path], args: { run: 'named', 'dry-run': true } })
    assert.deepEqual([looked.code, looked.counts], [2, { 'would be taken': 4, refused: 7 }], looked.told)
    assert.deepEqual(await kept(server, 'a'), [])
    const first = await imported(server, { words: [path], args: { run: 'named' } })
    assert.deepEqual([first.code, first.counts], [2, { taken: 4, refused: 7 }], first.told)
    for (const number of [5, 6, 7, 8, 9, 10, 11]) assert.match(first.told, new RegExp(`line ${number}\\b`))
    const [exact, large, ...others] = await kept(server, 'a')
    assert.deepEqual([exact?.['digest'], large?.['digest'], others], [sha256(EXACT), sha256(LARGE), []])
    assert.deepEqual([exact?.['metadata'], exact?.['kind'], exact?.['step_id']], ['{"m": 1.0}', 'INPUT', 's'])
    assert.deepEqual([large?.['is_inline'], large?.['pii_tags']], [false, ['x']])
    assert.match(String(large?.['created_at']), /^202[45]-/)
    assert.equal((await kept(server, 'named')).length, 1)
    assert.equal((await kept(server, 'b'))[0]?.['attempt'], 2)
    const again = await imported(server, { words: [path], args: { run: 'named' } })
    assert.deepEqual([again.code, again.counts], [2, { taken: 0, 'there already': 4, refused: 7 }])
  })

  it('come from a folder in the order of names', async () => {
    await using server = await startServer()
    const path = `${folder.path}/my run`
    await mkdir(`${path}/inner.json`, { recursive: true })
    const states = { 'b.json': LARGE, 'a.json': EXACT, 'c.json': '{', 'd.json': '', 'e.txt': '1', 'B.json': ' 1 ' }
    for (const [name, text] of Object.entries(states)) await writeFile(`${path}/${name}`, text)
    const first = await imported(server, { words: [path] })
    assert.deepEqual([first.code, first.counts], [2, { taken: 3, refused: 2 }], first.told)
    const digests = (await kept(server, 'my run')).map(({ digest }) => digest)
    assert.deepEqual(digests, [' 1 ', EXACT, LARGE].map(sha256))
    await writeFile(`${path}/c.json`, '{}')
    await writeFile(`${path}/a.json`, '"another"')
    const again = await imported(server, { words: [path], args: {} })
    assert.deepEqual(again.counts, { taken: 1, 'there already': 2, refused: 2 })
    assert.match(again.told, /^CONFLICT +a\.json/m)
    const other = await imported(server, { words: [path], args: { run: 'r', step: 's' } })
    assert.deepEqual(other.counts, { taken: 4, refused: 1 })
    assert.deepEqual(new Set((await kept(server, 'r')).map((row) => row['step_id'])), new Set(['s']))
  })

  it('go on where they were stopped', async () => {
    await using server = await startServer()
    const path = `${folder.path}/many.jsonl`
    await writeFile(path, Array.from({ length: 50 }, (_, i) => `{"runId":"many","payload":${i}}\n`).join(''))
    const stopping = new AbortController()
    const capture = imported(server, { words: [path], signal: stopping.signal })
    while ((await countOf(server)) < 5);
    stopping.abort(new Error('told to stop'))
    const { code, told, counts } = await capture
    const { taken = 0 } = counts
    assert.ok(taken >= 5)
    if (taken < 50) assert.deepEqual([code, /Stopped\. Run it again/.test(told)], [1, true])
    const rest = await imported(server, { words: [path] })
    assert.deepEqual([rest.code, rest.counts['taken']], [0, 50 - taken])
    assert.deepEqual(
      (await kept(server, 'many')).map(({ preview }) => preview),
      Array.from({ length: 50 }, (_, i) => `${i}`),
    )
  })

  it('need something to come from', async () => {
    await using server = await startServer()
    const wrong = [
      { words: [] },
      { words: ['a', 'b'] },
      { words: ['/nowhere'] },
      { words: ['x'], args: { langgraph: 'y' } },
    ]
    for (const wish of wrong) await assert.rejects(imported(server, wish), /Name one|no such file/)
    await assert.rejects(imported(server, { words: [folder.path], args: { run: '' } }), /--run/)
  })
})

it('finds a member of a line wherever its bytes are cut', async () => {
  const lines = [
    '{"x":{"payload":1},"payload" : {"a":"}\\"", "b":[1,"]"]}  ,"y":"payload"}',
    '{"payload":"\\\\","z":[{"payload":2}]}',
    '{"payload":12}',
    '{"q":1}',
  ]
  const text = Buffer.from(lines.join('\n'))
  for (const size of [1, 2, 3, 7, 1000]) {
    async function* chunks() {
      for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size)
    }
    const found = (await Array.fromAsync(readObjectLines(chunks(), 'payload'))).map(({ number, head, apart }) => [
      number,
      JSON.parse(head),
      apart && text.toString('utf8', apart.start, apart.end),
    ])
    assert.deepEqual(found, [
      [1, { x: { payload: 1 }, payload: null, y: 'payload' }, '{"a":"}\\"", "b":[1,"]"]}'],
      [2, { payload: null, z: [{ payload: 2 }] }, '"\\\\"'],
      [3, { payload: null }, '12'],
      [4, { q: 1 }, null],
    ])
  }
})

async function countOf(server: TestServer): Promise<number> {
  return (await kept(server, 'many')).length
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
