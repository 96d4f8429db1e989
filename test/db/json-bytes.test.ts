import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import type pg from 'pg'
import { createDatabase, type Database } from '../../src/db/connect.ts'
import { createClient } from '../../src/db/json-bytes.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'

/** JSON that only the same bytes equal: spaces, numbers as written, keys twice. */
const ODD = '{ "b" : 1.0, "a":[1e2 , "ü🙂\\u00fc"],"b": -0 }'
const ROWS = 300

const asJson = (text: string) => sql`${text}::text::json`

/** Every kind of value, in many rows of which some are empty. */
const MANY = `select x, case when x % 3 = 0 then null else ('{ "x" : ' || x || ', "ü":"🙂"}')::json end, case when x % 5 = 0 then '' else 'ü' || x end,
  case when x % 2 = 0 then null else 'text' end, 'null'::json, ('[' || repeat(' ', x) || ']')::json from generate_series(1, ${ROWS}) x`

function expectedRows(): unknown[][] {
  return Array.from({ length: ROWS }, (_, index) => {
    const x = index + 1
    const json = x % 3 === 0 ? null : Buffer.from(`{ "x" : ${x}, "ü":"🙂"}`)
    const text = x % 5 === 0 ? '' : `ü${x}`
    return [x, json, text, x % 2 === 0 ? null : 'text', Buffer.from('null'), Buffer.from(`[${' '.repeat(x)}]`)]
  })
}

describe('rows with JSON', () => {
  let database: FreshDatabase
  let db: Database
  before(async () => {
    database = await freshDatabase({ template: 'empty' })
    // One connection, so that statements follow one another on it.
    db = createDatabase({ url: database.url, maxConnections: 1 })
  })
  after(async () => {
    await db.close()
    await database[Symbol.asyncDispose]()
  })

  it('come as the bytes that were stored, at any size', async () => {
    const large = `{"text" : "${'ü🙂'.repeat(900_000)}"}`
    const [row] = await db.rows(
      sql`select 'ü' as a, ${asJson(large)}, ${asJson(ODD)}, null::json, '🙂' as b, ${asJson('0')}`,
    )
    assert.deepEqual(row, ['ü', Buffer.from(large), Buffer.from(ODD), null, '🙂', Buffer.from('0')])
    const [other] = await db.rows(sql`select '{"b":1,"a":2}'::jsonb, array[1, 2], 9007199254740993::bigint, true`)
    assert.deepEqual(other, [Buffer.from('{"a": 2, "b": 1}'), [1, 2], '9007199254740993', true])
  })

  it('come in hundreds, with nulls, empty texts and empty results among them', async () => {
    assert.deepEqual(await db.rows(sql.raw(MANY)), expectedRows())
    assert.deepEqual(await db.rows(sql`select '{}'::json where false`), [])
    assert.deepEqual(await db.rows(sql`select from generate_series(1, 2)`), [[], []])
  })

  it('stay what they are while others are read on their connection', async () => {
    const texts = Array.from({ length: 60 }, (_, index) => `{"${'x'.repeat(index * 997)}" : ${index}.0}`)
    const answers = await Promise.all(
      texts.map((text, index) =>
        // Three shapes: what is JSON is another column in each.
        db.rows(
          [
            sql`select ${asJson(text)}, 'a'`,
            sql`select 'a', ${asJson(text)}`,
            sql`select ${asJson(text)}, ${asJson(text)}, 1`,
          ][index % 3] ?? sql``,
        ),
      ),
    )
    for (const [index, text] of texts.entries()) {
      const bytes = Buffer.from(text)
      const expected = [
        [bytes, 'a'],
        ['a', bytes],
        [bytes, bytes, 1],
      ][index % 3]
      assert.deepEqual(answers[index], [expected])
    }
  })

  it('end with the error of their statement, and the next one is answered', async () => {
    const broken = sql`select ${asJson(ODD)}, repeat('x', 1000), 1 / (50 - x) from generate_series(1, 100) x`
    for (let round = 0; round < 3; round++) {
      const [failed, good] = await Promise.allSettled([db.rows(broken), db.rows(sql`select ${asJson(ODD)}`)])
      assert.equal(failed.status, 'rejected')
      assert.deepEqual(good, { status: 'fulfilled', value: [[Buffer.from(ODD)]] })
    }
    await assert.rejects(db.rows(sql`select ${asJson('{')}`))
  })

  it('are read from chunks of any size', async () => {
    for (const sizes of [[1], [2], [3, 1], [4], [5], [6, 5, 4], [7, 1000, 1], [65_536, 3]]) {
      const client = createClient(
        {
          connectionString: database.url,
          stream: () => slicedSocket(sizes),
          types: AS_SENT,
        },
        {},
      )
      await client.connect()
      const rowMode = 'array'
      const { rows } = await client.query({ text: MANY, rowMode })
      assert.deepEqual(
        rows.map(([x, ...rest]) => [Number(x), ...rest]),
        expectedRows(),
        `chunks of ${sizes}`,
      )
      await assert.rejects(
        client.query({ text: `select '{}'::json, 1 / (3 - x) from generate_series(1, 9) x`, rowMode }),
      )
      const named = { name: 'odd', text: 'select $1::text::json, $2::text', rowMode }
      for (const text of ['a', 'ü'.repeat(5000)]) {
        const again = await client.query({ ...named, values: [ODD, text] })
        assert.deepEqual(again.rows, [[Buffer.from(ODD), text]])
      }
      await client.end()
    }
  })
})

describe('rows with JSON over a bad line', () => {
  let database: FreshDatabase
  let proxy: FaultProxy
  let db: Database
  const payload = `[${'"ü", '.repeat(100_000)}0]`
  const read = () => db.rows(sql`select 'a', ${asJson(payload)}, 'b' from generate_series(1, 3)`)
  const expected = Array.from({ length: 3 }, () => ['a', Buffer.from(payload), 'b'])
  before(async () => {
    database = await freshDatabase({ template: 'empty' })
    const url = new URL(database.url)
    proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
    url.hostname = proxy.host
    url.port = String(proxy.port)
    db = createDatabase({ url: url.href, maxConnections: 1 })
  })
  after(async () => {
    await db.close()
    await proxy[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })

  it('come whole, however slowly', async () => {
    proxy.bandwidth(3_000_020)
    assert.deepEqual(await read(), expected)
    await proxy.heal()
  })

  it('are lost with their connection, and the next one begins anew', async () => {
    for (const end of ['rst', 'fin'] as const) {
      for (const bytes of [3, 70_001, 700_003]) {
        assert.deepEqual(await read(), expected)
        proxy.limitData(bytes, end)
        await assert.rejects(read(), { code: 'DATABASE_UNAVAILABLE' })
        await proxy.heal()
        assert.deepEqual(await read(), expected)
      }
    }
  })
})

/** JSON stays bytes, all else stays text. */
const AS_SENT = { getTypeParser: () => (value: unknown) => value } as pg.CustomTypesConfig

/** A socket whose reader gets what arrives in pieces of these sizes, in turn. */
function slicedSocket(sizes: readonly number[]): Socket {
  const socket = new Socket()
  const on = socket.on.bind(socket)
  let turn = 0
  const sliced = (listener: (part: Buffer) => void) => (chunk: Buffer) => {
    for (let rest = chunk; rest.length > 0; turn++) {
      const size = sizes[turn % sizes.length] ?? rest.length
      listener(rest.subarray(0, size))
      rest = rest.subarray(size)
    }
  }
  const listen = (event: string, listener: (...args: never[]) => void) =>
    on(event, event === 'data' ? sliced(listener as (part: Buffer) => void) : (listener as () => void))
  return Object.assign(socket, { on: listen })
}
