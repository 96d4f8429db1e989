import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { HumanMessage } from '@langchain/core/messages'
import { Annotation, Command, END, interrupt, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import { emptyCheckpoint } from '@langchain/langgraph-checkpoint'
import { StatelensSaver } from '../../src/langgraph/saver.ts'
import { startServer, type TestServer } from '../support/server.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const run = promisify(execFile)

let server: TestServer
let saver: StatelensSaver
before(async () => {
  server = await startServer()
  saver = new StatelensSaver({ url: server.url })
})
after(() => server[Symbol.asyncDispose]())

it('passes the framework’s own suite for savers', async () => {
  const env = { ...process.env, STATELENS_URL: server.url, NO_COLOR: '1' }
  const { stdout } = await run(process.execPath, ['test/langgraph/validate.ts'], { cwd: ROOT, env, maxBuffer: 1e8 })
  const [, passed] = /Tests\s+(\d+) passed/.exec(stdout) ?? []
  assert.ok(Number(passed) > 500, stdout.slice(-3000))
  assert.doesNotMatch(stdout, /failed/)
})

describe('a graph', () => {
  const Agent = Annotation.Root({
    ...MessagesAnnotation.spec,
    count: Annotation<number>({ reducer: (_a, b) => b, default: () => 0 }),
  })
  const graph = () =>
    new StateGraph(Agent)
      .addNode('plan', ({ count }) => ({ messages: [{ role: 'ai', content: `plan ${count}` }], count: count + 1 }))
      .addNode('act', ({ count }) => ({ messages: [{ role: 'ai', content: `act ${count}` }], count: count + 1 }))
      .addEdge(START, 'plan')
      .addEdge('plan', 'act')
      .addEdge('act', END)
      .compile({ checkpointer: saver })

  it('goes on where it was, goes back in time, and parts from there', async () => {
    const config = { configurable: { thread_id: `thread ${randomUUID()}` } }
    const agent = graph()
    await agent.invoke({ messages: [new HumanMessage('begin')] }, config)
    const ended = await agent.invoke({ messages: [new HumanMessage('again')] }, config)
    assert.equal(ended.count, 4)
    assert.equal(ended.messages.length, 6)
    assert.ok(ended.messages[0] instanceof HumanMessage)

    const history = await Array.fromAsync(agent.getStateHistory(config))
    assert.deepEqual(history.map(({ values }) => values['count']).slice(0, 3), [4, 3, 2])
    const early =
      history.find(({ next, values }) => next[0] === 'act' && values['count'] === 1) ?? assert.fail('no such moment')
    // From there on once more, as another branch.
    const forked = await agent.updateState(early.config, { count: 10 })
    const other = await agent.invoke(null, forked)
    assert.equal(other.count, 11)
    assert.equal((await agent.getState(config)).values['count'], 11)
    assert.equal((await agent.getState(history[0]?.config ?? config)).values['count'], 4)
  })

  it('waits for a person, and goes on with what he says', async () => {
    const State = Annotation.Root({ answer: Annotation<string> })
    const asking = new StateGraph(State)
      .addNode('ask', () => ({ answer: interrupt('may I?') as string }))
      .addEdge(START, 'ask')
      .addEdge('ask', END)
      .compile({ checkpointer: saver })
    const config = { configurable: { thread_id: randomUUID() } }
    await asking.invoke({ answer: '' }, config)
    assert.equal((await asking.getState(config)).tasks[0]?.interrupts[0]?.value, 'may I?')
    assert.deepEqual(await asking.invoke(new Command({ resume: 'yes' }), config), { answer: 'yes' })
  })

  it('is a run whose states can be looked at', async () => {
    const thread = randomUUID()
    await graph().invoke({ messages: [new HumanMessage('look')] }, { configurable: { thread_id: thread } })
    const { data } = await server.graphql<{
      run: { workflowName: string; latestSnapshot: { kind: string; at: { raw: string } } }
    }>(
      'query ($runId: String!) { run(runId: $runId) { workflowName latestSnapshot { kind at(pointer: "/channel_values/count") { raw } } } }',
      { runId: thread },
    )
    assert.deepEqual(data.run, { workflowName: 'langgraph', latestSnapshot: { kind: 'CHECKPOINT', at: { raw: '2' } } })
  })
})

describe('a large value of a channel', () => {
  const place = (thread: string) => ({ configurable: { thread_id: thread, checkpoint_ns: '' } })
  const documents = Array.from({ length: 20_000 }, (_, i) => ({ id: i, text: `document ${i} with some words in it` }))
  const METADATA = { source: 'loop', step: 1, parents: {} } as const
  const checkpointOf = (values: object, versions: Record<string, number>, id: string) => ({
    ...emptyCheckpoint(),
    id,
    channel_values: { ...values },
    channel_versions: versions,
  })

  async function tierAndCount(thread: string) {
    const { data } = await server.graphql<{ step: { snapshots: { nodes: object[] } } | null }>(
      'query ($runId: String!) { step(runId: $runId, stepId: "documents") { snapshots { nodes { storageTier kind } } } }',
      { runId: thread },
    )
    return data.step?.snapshots.nodes ?? []
  }

  it('is stored once while it stays the same, in object storage, and comes back as it was', async () => {
    const thread = randomUUID()
    const first = await saver.put(
      place(thread),
      checkpointOf({ documents, n: 1 }, { documents: 1, n: 1 }, '1'),
      METADATA,
      { documents: 1, n: 1 },
    )
    const second = await saver.put(first, checkpointOf({ documents, n: 2 }, { documents: 1, n: 2 }, '2'), METADATA, {
      n: 2,
    })
    assert.deepEqual(await tierAndCount(thread), [{ storageTier: 'OBJECT', kind: 'OUTPUT' }])
    // Another process knows nothing of what this one has stored.
    const other = new StatelensSaver({ url: server.url })
    const tuple = await other.getTuple(second)
    assert.deepEqual(tuple?.checkpoint.channel_values, { documents, n: 2 })
    assert.equal(tuple?.parentConfig?.configurable?.['checkpoint_id'], '1')
    await other.put(second, checkpointOf({ documents, n: 3 }, { documents: 1, n: 3 }, '3'), METADATA, { n: 3 })
    assert.equal((await tierAndCount(thread)).length, 1)
  })

  it('of a branch is its own, though its version has the same number', async () => {
    const thread = randomUUID()
    const root = await saver.put(place(thread), checkpointOf({ documents }, { documents: 1 }, '1'), METADATA, {
      documents: 1,
    })
    const more = [...documents, { id: -1, text: 'left' }]
    const less = documents.slice(1)
    const left = await saver.put(root, checkpointOf({ documents: more }, { documents: 2 }, '2'), METADATA, {
      documents: 2,
    })
    const right = await saver.put(root, checkpointOf({ documents: less }, { documents: 2 }, '3'), METADATA, {
      documents: 2,
    })
    assert.deepEqual((await saver.getTuple(left))?.checkpoint.channel_values, { documents: more })
    assert.deepEqual((await saver.getTuple(right))?.checkpoint.channel_values, { documents: less })
  })

  it('of bytes, and metadata without room beside the state, come back too', async () => {
    const thread = randomUUID()
    const bytes = new Uint8Array(200_000).fill(7)
    const metadata = { ...METADATA, note: 'x'.repeat(100_000) }
    const config = await saver.put(
      place(thread),
      checkpointOf({ bytes, small: new Uint8Array([1]) }, { bytes: 1, small: 1 }, '1'),
      metadata,
      { bytes: 1, small: 1 },
    )
    const tuple = await saver.getTuple(config)
    assert.deepEqual(Buffer.from(tuple?.checkpoint.channel_values['bytes'] as Uint8Array), Buffer.from(bytes))
    assert.deepEqual(Buffer.from(tuple?.checkpoint.channel_values['small'] as Uint8Array), Buffer.from([1]))
    assert.deepEqual(tuple?.metadata, metadata)
    const listed = await Array.fromAsync(saver.list(place(thread), { filter: { note: metadata.note } }))
    assert.equal(listed.length, 1)
  })

  it('goes with its thread, which can begin anew', async () => {
    const thread = randomUUID()
    const checkpoint = checkpointOf({ documents }, { documents: 1 }, '1')
    await saver.put(place(thread), checkpoint, METADATA, { documents: 1 })
    await saver.deleteThread(thread)
    assert.equal(await saver.getTuple(place(thread)), undefined)
    await saver.put(place(thread), checkpoint, METADATA, { documents: 1 })
    assert.deepEqual((await saver.getTuple(place(thread)))?.checkpoint.channel_values, { documents })
  })
})
