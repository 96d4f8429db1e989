import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { emptyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import { StatelensSaver } from '../../src/langgraph/saver.ts'
import { freshDatabase } from '../support/database.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'
import { imported, kept } from './moves.ts'

/** Bytes are bytes, whatever holds them. */
function shown(tuple: object | undefined): unknown {
  return JSON.parse(JSON.stringify(tuple ?? null, (_key, value) => (value instanceof Uint8Array ? [...value] : value)))
}

const LARGE = { messages: [{ role: 'user', content: 'x'.repeat(5_000_000) }] }

describe('a database of LangGraph', () => {
  it('becomes runs, with the values of channels in the states of its checkpoints', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await using server = await startServer()
    await fill(database.url)
    const wish = { words: [], args: { langgraph: database.url } }
    const looked = await imported(server, { ...wish, args: { ...wish.args, 'dry-run': true } })
    assert.equal(looked.code, 0, looked.told)
    assert.deepEqual(await kept(server, 'thread 1'), [])
    const first = await imported(server, wish)
    assert.deepEqual([first.code, first.counts['refused']], [0, undefined], first.told)

    const query1 = `{ run(runId: "thread 1") { workflowName tags { key value } snapshots(first: 100) { nodes {
      kind metadata payload createdAt step { stepId } } } } }`
    const { data } = await server.graphql<Answer>(query1)
    assert.deepEqual([data.run.workflowName, data.run.tags], ['langgraph', [{ key: 'langgraph', value: 'thread' }]])
    const checkpoints = data.run.snapshots.nodes.filter(({ kind }) => kind === 'CHECKPOINT')
    const root = checkpoints.filter(({ metadata }) => metadata?.langgraph.namespace === '')
    assert.deepEqual(
      root.map(({ payload }) => payload.channel_values['count']),
      [0, 1, 2],
    )
    assert.deepEqual(
      root.map(({ metadata }) => metadata?.langgraph.parentId),
      [null, ...root.slice(0, -1).map(({ step }) => step.stepId)],
    )
    assert.deepEqual(root[1]?.metadata?.metadata, { source: 'loop', step: 1, parents: {} })
    // Written once by the saver, and there in each.
    assert.ok(root.every(({ payload }) => payload.channel_values['same'] === 'first'))
    const [one, two, three] = root.map(({ payload }) => payload)
    assert.equal(one?.coded['bytes'], 'bytes')
    assert.equal(Buffer.from(String(one?.channel_values['bytes']), 'base64').toString(), 'raw')
    assert.equal(two?.stored_apart['state']?.snapshotId, three?.stored_apart['state']?.snapshotId)
    const large = await fetch(`${server.url}/snapshots/${two?.stored_apart['state']?.snapshotId}/payload`)
    assert.deepEqual(await large.json(), LARGE)
    const inner = checkpoints.find(({ metadata }) => metadata?.langgraph.namespace === 'inner:1')
    assert.match(inner?.step.stepId ?? '', / inner:1$/)
    const writes = data.run.snapshots.nodes.filter(({ metadata }) => metadata?.langgraph.taskId === 'task')
    assert.deepEqual(
      writes.map(({ payload }) => payload),
      [
        [
          { index: 0, channel: 'count', type: 'json', value: 7 },
          { index: 1, channel: 'note', type: 'json', value: { text: 'y'.repeat(40_000) } },
        ],
      ],
    )
    assert.equal((await kept(server, 'thread 2')).length, 1)
    // A graph goes on from there as it would where it came from.
    const origin = PostgresSaver.fromConnString(database.url)
    const now = new StatelensSaver({ url: server.url })
    for (const thread_id of ['thread 1', 'thread 2']) {
      for (const checkpoint_ns of ['', 'inner:1']) {
        const place = { configurable: { thread_id, checkpoint_ns } }
        assert.deepEqual(
          shown(await now.getTuple(place)),
          shown(await origin.getTuple(place)),
          `${thread_id} ${checkpoint_ns}`,
        )
      }
    }
    await origin.end()

    const before = await kept(server, 'thread 1')
    const again = await imported(server, wish)
    assert.deepEqual([again.code, again.counts['taken']], [0, 0], again.told)
    assert.deepEqual(await kept(server, 'thread 1'), before)
    assert.match(String(before[0]?.['created_at']), /^2026-02-03 \d\d:00:00/)
  })

  it('may be one of Python, with values of other types', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await using server = await startServer()
    await new Setup(database.url).run(async (saver) => saver.setup())
    const blob = Buffer.concat([Buffer.from([0x82, 0xa1, 0xff]), Buffer.alloc(200_000, 7)])
    await query(database.url, "alter table checkpoint_writes add column task_path text not null default ''")
    await query(
      database.url,
      `insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, metadata) values ('py', '', '1ef', $1, '{"step": -1}')`,
      [
        '{"v": 4, "ts": "2026-02-03T00:00:00.123456+00:00", "channel_values": {"n": 1.50}, "channel_versions": {"n": "1", "big": "0002.0.5", "small": "3", "none": "4", "gone": "5"}}',
      ],
    )
    for (const [channel, version, type, bytes] of [
      ['big', '0002.0.5', 'msgpack', blob],
      ['small', '3', 'msgpack', blob.subarray(0, 10)],
      ['none', '4', 'null', Buffer.alloc(0)],
      ['gone', '5', 'empty', null],
    ]) {
      await query(database.url, "insert into checkpoint_blobs values ('py', '', $1, $2, $3, $4)", [
        channel,
        version,
        type,
        bytes,
      ])
    }
    await query(
      database.url,
      "insert into checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, type, blob, task_path) values ('py', '1ef', 't', -1, '__error__', 'msgpack', $1, '~p')",
      [blob],
    )
    const { code, told, counts } = await imported(server, { words: [], args: { langgraph: database.url } })
    assert.deepEqual([code, counts], [0, { taken: 3 }], told)
    const { data } = await server.graphql<Answer>(
      '{ run(runId: "py") { snapshots { nodes { kind metadata payload createdAt step { stepId } } } } }',
    )
    const [big, checkpoint, writes] = data.run.snapshots.nodes
    assert.deepEqual(Buffer.from(String(big?.payload), 'base64'), blob)
    assert.deepEqual(checkpoint?.payload.channel_values, {
      n: 1.5,
      none: null,
      small: blob.subarray(0, 10).toString('base64'),
    })
    assert.deepEqual(checkpoint?.payload.coded, { small: 'msgpack' })
    assert.deepEqual(Object.keys(checkpoint?.payload.stored_apart ?? {}), ['big'])
    assert.equal(checkpoint?.createdAt, '2026-02-03T00:00:00.123456Z')
    assert.deepEqual(writes?.metadata?.langgraph, { taskId: 't', taskPath: '~p' })
  })

  it('must have its tables', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await using server = await startServer()
    const { code, told } = await imported(server, { words: [], args: { langgraph: database.url, schema: 'odd "x"' } })
    assert.equal(code, 1)
    assert.match(told, /no checkpoints in schema "odd \\"x\\""/)
  })
})

interface Answer {
  readonly run: {
    readonly workflowName: string
    readonly tags: readonly object[]
    readonly snapshots: {
      readonly nodes: readonly {
        readonly kind: string
        readonly createdAt: string
        readonly step: { readonly stepId: string }
        readonly metadata: {
          readonly langgraph: { readonly namespace?: string; readonly parentId?: string; readonly taskId?: string }
          readonly metadata?: object
        } | null
        readonly payload: {
          readonly channel_values: Readonly<Record<string, unknown>>
          readonly coded: Readonly<Record<string, string>>
          readonly stored_apart: Readonly<Record<string, { readonly snapshotId: string }>>
        }
      }[]
    }
  }
}

/** The published saver, for as long as it is needed. */
class Setup {
  readonly #url: string
  constructor(url: string) {
    this.#url = url
  }
  async run(use: (saver: PostgresSaver) => Promise<void>): Promise<void> {
    const saver = PostgresSaver.fromConnString(this.#url)
    try {
      await use(saver)
    } finally {
      await saver.end()
    }
  }
}

async function fill(url: string): Promise<void> {
  await new Setup(url).run(async (saver) => {
    await saver.setup()
    let config: { configurable: Record<string, unknown> } = {
      configurable: { thread_id: 'thread 1', checkpoint_ns: '' },
    }
    const values: Record<string, unknown> = { same: 'first', bytes: new TextEncoder().encode('raw') }
    const versions: Record<string, number> = { same: 1, bytes: 1 }
    for (let step = 0; step < 3; step++) {
      values['count'] = step
      versions['count'] = step + 1
      const news: Record<string, number> = step === 0 ? { ...versions } : { count: step + 1 }
      if (step === 1) {
        values['state'] = LARGE
        versions['state'] = 2
        news['state'] = 2
      }
      const checkpoint = {
        ...emptyCheckpoint(),
        id: uuid6(step),
        ts: `2026-02-03T0${step}:00:00.000Z`,
        channel_values: { ...values },
        channel_versions: { ...versions },
      }
      config = (await saver.put(config, checkpoint, { source: 'loop', step, parents: {} }, news)) as typeof config
    }
    await saver.putWrites(
      config,
      [
        ['count', 7],
        ['note', { text: 'y'.repeat(40_000) }],
      ],
      'task',
    )
    const inner = { configurable: { thread_id: 'thread 1', checkpoint_ns: 'inner:1' } }
    await saver.put(inner, { ...emptyCheckpoint(), id: uuid6(5) }, { source: 'input', step: -1, parents: {} }, {})
    const other = { configurable: { thread_id: 'thread 2', checkpoint_ns: '' } }
    await saver.put(other, { ...emptyCheckpoint(), id: uuid6(6) }, { source: 'input', step: -1, parents: {} }, {})
  })
}
