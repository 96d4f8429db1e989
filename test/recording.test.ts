import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { generateText, streamText, wrapLanguageModel } from 'ai'
import { MockLanguageModelV4, simulateReadableStream } from 'ai/test'
import { recordCalls } from '../examples/ai-sdk/recorder.ts'
import { recordActivities } from '../examples/temporal/interceptor.ts'
import { createClient } from '../src/client/client.ts'
import { describeWith } from './support/describe-with.ts'
import { startServer, type TestServer } from './support/server.ts'
import { temporaryFolder } from './support/tmp.ts'

const execute = promisify(execFile)
const PAGE = await readFile('docs/recording.md', 'utf8')

interface Told {
  readonly run: {
    readonly workflowName: string | null
    readonly status: string
    readonly steps: {
      readonly nodes: readonly {
        readonly stepId: string
        readonly name: string | null
        readonly status: string
        readonly attempt: number
        readonly error: { readonly type: string | null; readonly message: string } | null
        readonly snapshots: {
          readonly nodes: readonly { readonly kind: string; readonly payload: unknown; readonly metadata: unknown }[]
        }
      }[]
    }
  }
}

async function toldOf(server: TestServer, runId: string) {
  const { data } = await server.graphql<Told>(
    `query($runId: String!) { run(runId: $runId) { workflowName status steps(first: 10) { nodes {
      stepId name status attempt error { type message } snapshots(first: 10) { nodes { kind payload metadata } } } } } }`,
    { runId },
  )
  return {
    ...data.run,
    steps: data.run.steps.nodes.map(({ snapshots, ...step }) => ({ ...step, states: snapshots.nodes })),
  }
}

type Payload = Readonly<Record<string, unknown>>

const problems: unknown[] = []
const onProblem = (error: unknown) => void problems.push(error)

describe('the Vercel AI SDK, recorded', () => {
  const usage = {
    inputTokens: { total: 3, noCache: 3, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 5, text: 5, reasoning: 0 },
  }
  const finishReason = { unified: 'stop', raw: 'stop' } as const
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  it('keeps what was asked and what came back, of one piece or as a stream, and failures', async () => {
    const client = createClient({ url: server.url })
    await client.upsertRun({ runId: 'chat-1', workflowName: 'chat', status: 'RUNNING' })
    const text = (id: string) => [
      { type: 'text-start', id } as const,
      { type: 'text-delta', id, delta: 'Hel' } as const,
      { type: 'text-delta', id, delta: 'lo' } as const,
      { type: 'text-end', id } as const,
    ]
    let calls = 0
    const model = new MockLanguageModelV4({
      modelId: 'mock',
      doGenerate: async () => {
        if (calls++ > 0) throw new Error('no model')
        return { content: [{ type: 'text', text: 'x'.repeat(300_000) }], finishReason, usage, warnings: [] }
      },
      doStream: async () => ({
        stream: simulateReadableStream({
          chunks: [...text('1'), { type: 'finish', finishReason, usage } as const],
          initialDelayInMs: null,
          chunkDelayInMs: null,
        }),
      }),
    })
    const recorded = wrapLanguageModel({ model, middleware: recordCalls({ client, runId: 'chat-1', onProblem }) })
    const answer = await generateText({ model: recorded, prompt: 'Hi' })
    assert.equal(answer.text.length, 300_000)
    assert.equal(
      await streamText({ model: recorded, prompt: 'Again', headers: { authorization: 'canary' } }).text,
      'Hello',
    )
    await assert.rejects(generateText({ model: recorded, prompt: 'Last', maxRetries: 0 }), /no model/)
    assert.deepEqual(problems, [])
    const { steps } = await toldOf(server, 'chat-1')
    assert.deepEqual(
      steps.map(({ stepId, name, status, error }) => [stepId, name, status, error?.message]),
      [
        ['call-0', 'mock', 'SUCCEEDED', undefined],
        ['call-1', 'mock', 'SUCCEEDED', undefined],
        ['call-2', 'mock', 'FAILED', 'no model'],
      ],
    )
    const [first, second] = steps.map(({ states }) =>
      states.map((state) => ({ ...state, payload: state.payload as Payload })),
    )
    const prompt = [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }]
    assert.deepEqual(first?.[0]?.payload['prompt'], prompt)
    assert.deepEqual(first?.[1]?.payload, [{ type: 'text', text: 'x'.repeat(300_000) }])
    assert.deepEqual(first?.[1]?.metadata, { finishReason, usage })
    assert.equal(second?.[1]?.payload['length'], 5)
    assert.ok(!JSON.stringify(steps).includes('canary'))
  })

  it('does not fail where nothing can be recorded', async () => {
    const client = createClient({ url: 'http://127.0.0.1:9', retries: 0 })
    const model = new MockLanguageModelV4({
      doGenerate: { content: [{ type: 'text', text: 'ok' }], finishReason, usage, warnings: [] },
    })
    const told: unknown[] = []
    const middleware = recordCalls({ client, runId: 'r', onProblem: (error) => told.push(error) })
    assert.equal((await generateText({ model: wrapLanguageModel({ model, middleware }), prompt: 'Hi' })).text, 'ok')
    assert.equal(told.length, 2)
  })
})

describe('the activities of a Temporal worker, recorded', () => {
  it('keeps arguments, results and failures of every attempt, once', async () => {
    await using server = await startServer()
    const client = createClient({ url: server.url })
    const intercept = recordActivities({ client, onProblem })
    const info = {
      activityId: '5',
      activityType: 'charge',
      workflowType: 'order',
      workflowExecution: { workflowId: 'order 7', runId: 'abc' },
    }
    const run = (attempt: number, next: () => Promise<unknown>) =>
      intercept({ info: { ...info, attempt } }).inbound.execute({ args: [{ sum: 12 }], headers: {} }, next)
    const failure = new TypeError('no card')
    await assert.rejects(
      run(1, () => Promise.reject(failure)),
      (error) => error === failure,
    )
    for (let times = 0; times < 2; times++) assert.deepEqual(await run(2, async () => ({ ok: true })), { ok: true })
    assert.equal(
      await intercept({ info: { ...info, activityId: '6', attempt: 1 } }).inbound.execute({ args: [] }, async () => {}),
      undefined,
    )
    const { steps, ...told } = await toldOf(server, 'order 7/abc')
    assert.deepEqual(told, { workflowName: 'order', status: 'RUNNING' })
    const [charge, other] = steps
    assert.deepEqual([charge?.stepId, charge?.status, charge?.attempt, charge?.error], ['5', 'SUCCEEDED', 2, null])
    assert.deepEqual(
      charge?.states.map(({ kind }) => kind),
      ['INPUT', 'ERROR', 'INPUT', 'OUTPUT'],
    )
    assert.deepEqual(charge?.states.map(({ payload }) => payload).toSpliced(1, 1), [
      [{ sum: 12 }],
      [{ sum: 12 }],
      { ok: true },
    ])
    const kept = charge?.states[1]?.payload as Payload
    assert.deepEqual([kept['type'], kept['message']], ['TypeError', 'no card'])
    assert.deepEqual(
      other?.states.map(({ payload }) => payload),
      [[], null],
    )
    assert.deepEqual(problems, [])
  })
})

async function findPython() {
  const found = await execute('python3', ['--version']).catch(() => null)
  return found ? {} : { unavailable: 'The module for Python is not run: put python3 on the PATH' }
}

await describeWith('the module for Python', findPython, () => {
  const state = Buffer.from(`{"a":1e400, "a":-0, "t":"${'x'.repeat(3_000_000)}"}`)
  const digest = `sha256:${createHash('sha256').update(state).digest('hex')}`

  /** A program beside the module. */
  async function runPython(text: string, url: string) {
    await using folder = await temporaryFolder()
    await copyFile('examples/python/statelens.py', `${folder.path}/statelens.py`)
    await writeFile(`${folder.path}/state.json`, state)
    await writeFile(`${folder.path}/page.py`, text.replaceAll('http://127.0.0.1:4000', url))
    return await execute('python3', ['-W', 'error', 'page.py'], { cwd: folder.path, timeout: 50_000 })
  }

  it('is short', async () => {
    const lines = (await readFile('examples/python/statelens.py', 'utf8')).split('\n')
    assert.ok(lines.length <= 61)
  })

  it('does what the page shows', async () => {
    await using server = await startServer()
    const [, text = ''] = /^```python\n(.*?)^```/ms.exec(PAGE) ?? []
    const { stdout } = await runPython(text, server.url)
    assert.equal(stdout, `${state.length} ${digest}\n`)
    await runPython(text, server.url)
    const { data } = await server.graphql(
      '{ run(runId: "py-1") { workflowName status snapshots { nodes { kind attempt digest piiTags step { stepId } } } } }',
    )
    const embed = { kind: 'CHECKPOINT', attempt: 2, digest, piiTags: ['email'], step: { stepId: 'embed' } }
    const plan = { kind: 'OUTPUT', attempt: 1, piiTags: [], step: { stepId: 'plan' } }
    const { nodes } = (data['run'] as { snapshots: { nodes: { digest: string }[] } }).snapshots
    assert.deepEqual(nodes, [{ ...plan, digest: nodes[0]?.digest }, embed, embed])
  })

  it('repeats what fails in passing, and names what does not', async () => {
    await using server = await startServer()
    let refusals = 0
    // In front of the server, and busy at first.
    const busy = createServer((request, response) => {
      if (refusals++ < 2) {
        request.resume().on('end', () => response.writeHead(503, { 'retry-after': '0.01' }).end('busy'))
        return
      }
      const { method, url: path, headers } = request
      const passed = forward(`${server.url}${path}`, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(response)
      })
      request.pipe(passed)
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => busy.once('listening', resolve))
    const url = `http://127.0.0.1:${(busy.address() as AddressInfo).port}`
    const program = `
from statelens import Statelens, StatelensError
states = Statelens("${url}")
print(states.capture("odd/run ü", "a step?", b'{"b":1.0}', kind="INPUT", isSuccessState=True)["created"])
for payload in (b"{", float("nan")):
    try:
        states.capture("r", "s", payload)
    except (StatelensError, ValueError) as error:
        print(getattr(error, "code", type(error).__name__))
try:
    states.graphql("{ nothing }")
except StatelensError as error:
    print(error.code)
try:
    Statelens("http://127.0.0.1:9", retries=0).read("x")
except StatelensError as error:
    print(error.code)
`
    const { stdout } = await runPython(program, url).finally(() => {
      busy.close()
      busy.closeAllConnections()
    })
    const lines = ['True', 'INVALID_PAYLOAD', 'ValueError', 'GRAPHQL_VALIDATION_FAILED', 'UNREACHABLE', '']
    assert.deepEqual(stdout.split('\n'), lines)
    assert.ok(refusals > 2)
    const { steps } = await toldOf(server, 'odd/run ü')
    assert.deepEqual([steps[0]?.stepId, steps[0]?.states[0]?.payload], ['a step?', { b: 1 }])
  })
})
