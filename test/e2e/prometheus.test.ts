import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, it } from 'node:test'
import { parse } from 'yaml'
import { describeWith } from '../support/describe-with.ts'
import { type MemoryS3, startMemoryS3 } from '../support/memory-s3.ts'
import { s3Env } from '../support/objects.ts'
import { type Prometheus, promtool, startPrometheus } from '../support/prometheus.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { graphqlAt, startServer, type TestServer } from '../support/server.ts'
import { prometheus, valkey } from '../support/services.ts'
import { type TestTokens, tokensFor } from '../support/tokens.ts'
import { watchBy } from '../support/watching.ts'

const FOLDER = 'examples/observability'
const MIB = 1_048_576
const LOAD_MILLIS = 20_000

interface Panel {
  readonly title: string
  readonly targets?: readonly { readonly expr: string }[]
}

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}

const dashboard = JSON.parse(await readFile(`${FOLDER}/grafana-dashboard.json`, 'utf8')) as { panels: readonly Panel[] }
const rules = (parse(await readFile(`${FOLDER}/alerts.yml`, 'utf8')) as Rules).groups.flatMap((group) => group.rules)
const expressions = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))
const service = async () => {
  const found = await prometheus()
  const cache = await valkey()
  if ('unavailable' in found) return found
  return 'unavailable' in cache ? cache : { ...found, valkeyUrl: cache.url }
}

await describeWith('Prometheus, with what is told to it', service, (program) => {
  let tokens: TestTokens
  let store: MemoryS3
  let server: TestServer
  let collector: Prometheus
  before(async () => {
    tokens = await tokensFor(['read', 'write', 'admin'])
    store = await startMemoryS3()
    server = await startServer({ env: { ...tokens.env, ...s3Env(store.service), VALKEY_URL: program.valkeyUrl } })
    const token = tokens.token('admin')
    collector = await startPrometheus(program, { targets: [`127.0.0.1:${server.port}`], token })
  })
  after(async () => {
    await collector[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
    await tokens[Symbol.asyncDispose]()
  })

  /** A little of all that is counted. */
  async function load(round: number): Promise<void> {
    const token = tokens.token('read', 'write', 'admin')
    const headers = { authorization: `Bearer ${token}` }
    const ask = graphqlAt(server.url, token)
    const get = async (path: string, more = {}) => {
      const response = await fetch(server.url + path, { headers: { ...headers, ...more } })
      await response.arrayBuffer().catch(() => {})
    }
    const stepId = `step ${round}`
    const { snapshotId } = storedOf(await put(server.url, `["${'x'.repeat(2 * MIB)}"]`, { stepId, headers }))
    storedOf(await put(server.url, '[1]', { stepId: 'small', headers }))
    const watching = await watchBy('SSE', server.url, 'subscription Watch { runsUpdated { __typename } }', { token })
    for (const path of ['payload', 'payload', 'value?pointer=/0', 'diff']) await get(`/snapshots/${snapshotId}/${path}`)
    await get(`/snapshots/${snapshotId}/payload`, { range: 'bytes=0-9' })
    await ask('query States { run(runId: "run") { steps { nodes { snapshot { payload } } } } }')
    await ask('query Broken { a: __typename node(id: "nonsense") { id } }')
    store.objects.clear()
    const lost = await ask(`query Lost { snapshot(runId: "run", stepId: "${stepId}", useCache: false) { payload } }`)
    assert.equal(lost.errors?.[0]?.extensions.code, 'OBJECT_MISSING')
    const left = new AbortController()
    const leaving = fetch(`${server.url}/snapshots/${snapshotId}/payload`, { headers, signal: left.signal })
    left.abort()
    await leaving.catch(() => {})
    await watching[Symbol.asyncDispose]()
  }

  it('reads it by a token of the scope admin', async () => {
    await eventually(async () => {
      const targets = await collector.targets()
      assert.deepEqual(
        targets.map(({ health, lastError }) => [health, lastError]),
        [['up', '']],
      )
    })
  })

  it('has a figure for every expression of the dashboard', async () => {
    const until = performance.now() + LOAD_MILLIS
    let open = expressions
    for (let round = 0; open.length > 0 && performance.now() < until; round++) {
      await load(round)
      const answers = await Promise.all(open.map(({ expr }) => collector.query(withVariables(expr))))
      open = open.filter((_one, index) => !answers[index]?.some(({ value: [, text] }) => Number.isFinite(Number(text))))
    }
    assert.deepEqual(open, [])
    assert.ok(expressions.length >= 35)
  })

  it('understands every alert, and raises none of them for what is well', async () => {
    for (const { alert, expr } of rules) {
      const raised = await collector.query(expr)
      // Objects were taken away, and the process is but seconds old.
      if (!['StatelensStatesLost', 'StatelensAnswersCut', 'StatelensBlocked'].includes(alert))
        assert.deepEqual(raised, [], alert)
    }
  })

  it('finds nothing wrong with the rules and the settings, and raises each alert where it should', async () => {
    assert.match(await promtool(program, ['check', 'config', `${FOLDER}/prometheus.yml`]), /valid prometheus config/)
    assert.match(await promtool(program, ['test', 'rules', `${FOLDER}/alerts.test.yml`]), /SUCCESS/)
    const tested = (parse(await readFile(`${FOLDER}/alerts.test.yml`, 'utf8')) as RuleTests).tests
    assert.deepEqual(
      tested.flatMap((test) => test.alert_rule_test.map(({ alertname }) => alertname)),
      rules.map(({ alert }) => alert),
    )
  })
})

interface RuleTests {
  readonly tests: readonly { readonly alert_rule_test: readonly { readonly alertname: string }[] }[]
}

/** As Grafana fills them in, where all is looked at. */
function withVariables(expression: string): string {
  return expression.replaceAll('$__rate_interval', '20s').replace(/\$(job|instance)/g, '.+')
}

it('each alert has its line in the documentation, and no other has one', async () => {
  const docs = await readFile('docs/operations.md', 'utf8')
  const lines = [...docs.matchAll(/^\| `(Statelens\w+)` \| (.+) \| (.+) \|$/gm)]
  assert.deepEqual(
    lines.map(([, alert]) => alert),
    rules.map(({ alert }) => alert),
  )
  for (const [, alert, meaning = '', action = ''] of lines) assert.ok(meaning.length > 10 && action.length > 10, alert)
})
