import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { CAPTURE, codesByPath, codesOf, dataOf } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { s3Env } from '../support/objects.ts'
import { startProcess } from '../support/process.ts'
import { insertForeign, query } from '../support/rows.ts'

import { type GraphqlAnswer, startServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

/** Text of a payload that must be found nowhere but in the payload. */
const CANARY = 'canary-7f3a-in-a-payload'
const LINK_SECRET = 'link-secret-0123456789-0123456789-0123'
const S3_SECRET = 's3-secret-0123456789-0123456789-01234567'

const RUNS = '{ runs { edges { node { runId steps { edges { node { stepId } } } } } } }'

describe('a failure that nobody foresaw', () => {
  it('is told in one fixed sentence, at its path, and the rest of the answer stands', async () => {
    await using server = await startServer()
    await dataOf(server.graphql('mutation { upsertRun(input: { runId: "run" }) { runId } }'))
    await query(server.databaseUrl, 'alter table state_snapshots rename to elsewhere')
    const text = '{ run(runId: "run") { runId latestSnapshot { seq } stateAt { seq } } }'
    const answers = [await server.graphql(text), await server.graphql(text), await server.graphql(text)]
    for (const answer of answers) {
      assert.equal(answer.status, 200)
      assert.deepEqual(answer.data, { run: { runId: 'run', latestSnapshot: null, stateAt: null } })
      const code = 'INTERNAL_SERVER_ERROR'
      assert.deepEqual(codesByPath(answer), { 'run.latestSnapshot': code, 'run.stateAt': code })
      assert.deepEqual(answer, answers[0])
      assert.doesNotMatch(
        JSON.stringify(answer.errors),
        /elsewhere|state_snapshots|relation|select|42P01|\.ts|node_modules/,
      )
    }
    await query(server.databaseUrl, 'alter table elsewhere rename to state_snapshots')
    assert.deepEqual(await dataOf(server.graphql(text)), { run: { runId: 'run', latestSnapshot: null, stateAt: null } })
  })

  it('is told alike for every operation', async () => {
    await using server = await startServer()
    await query(
      server.databaseUrl,
      'drop table statelens_runs, statelens_steps, state_snapshots, statelens_objects cascade',
    )
    const messages = new Set<string>()
    for (const text of [
      RUNS,
      '{ run(runId: "r") { runId } step(runId: "r", stepId: "s") { stepId } }',
      '{ snapshot(runId: "r", stepId: "s") { payload } }',
      '{ node(id: "UnVuOmE") { id } }',
      'mutation { upsertRun(input: { runId: "r" }) { runId } }',
      'mutation { upsertStep(input: { runId: "r", stepId: "s" }) { runId } }',
      'mutation { captureSnapshot(input: { runId: "r", payload: "hunter2" }) { created } }',
      'mutation { deleteRun(runId: "r") { deleted } }',
      'mutation { deleteSnapshot(snapshotId: "00000000-0000-0000-0000-000000000000") { deleted } }',
    ]) {
      const answer = await server.graphql(text)
      assert.deepEqual(codesOf(answer), ['INTERNAL_SERVER_ERROR'], text)
      for (const { message } of answer.errors ?? []) messages.add(message)
    }
    assert.equal(messages.size, 1)
  })
})

describe('a database that is down', () => {
  it('is DATABASE_UNAVAILABLE, which may be retried, for reads and writes, until it is back', async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const url = new URL(database.url)
    await using proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
    url.port = String(proxy.port)
    await using server = await startServer({ store: { databaseUrl: url.href, storagePath: folder.path } })
    await dataOf(server.graphql(RUNS))
    await proxy.refuse()
    proxy.resetNow()
    for (const [text, variables] of [
      [RUNS],
      ['mutation { upsertRun(input: { runId: "r" }) { runId } }'],
      [CAPTURE, { input: { runId: 'r', payload: 'x'.repeat(1_100_000) } }],
      ['{ node(id: "UnVuOmE") { id } }'],
    ] as const) {
      const answer = await server.graphql(text, variables)
      assert.deepEqual(codesOf(answer), ['DATABASE_UNAVAILABLE'], text)
      assert.ok(answer.errors?.every(({ extensions }) => extensions.retryable === true))
      assert.doesNotMatch(JSON.stringify(answer), /ECONN|127\.0\.0\.1|5432/)
    }
    await proxy.heal()
    await dataOf(server.graphql(RUNS))
  })
})

describe('no answer and no log line', () => {
  it('holds a password, a secret, a path of the host or a payload, whatever goes wrong with files', () =>
    tellsNothing())
})

await describeWith('no answer and no log line, with S3', s3, (service) => {
  it('holds a password, a secret, a path of the host or a payload, whatever goes wrong', () => tellsNothing(service))
})

async function tellsNothing(service?: S3Service): Promise<void> {
  await using database = await freshDatabase()
  await using folder = await temporaryFolder()
  const url = new URL(database.url)
  await using proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
  url.port = String(proxy.port)
  const env = {
    PORT: '0',
    DATABASE_URL: url.href,
    LOG_LEVEL: 'trace',
    SNAPSHOT_STORAGE_PATH: `${folder.path}/root`,
    SIGNED_URL_SECRET: LINK_SECRET,
    SNAPSHOT_INLINE_MAX_BYTES: '100',
    // Every request to the store is refused for its signature.
    ...(service ? { ...s3Env(service), S3_SECRET_KEY: S3_SECRET } : {}),
  }
  await using child = startProcess({ args: ['serve'], env })
  const endpoint = `${await child.waitForUrl()}/graphql`
  const answers: GraphqlAnswer<unknown>[] = []
  const post = async (text: string, variables: object = {}) => {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ query: text, variables })
    const answer = await (await fetch(endpoint, { method: 'POST', headers, body })).json()
    answers.push(answer as GraphqlAnswer<unknown>)
  }
  const capture = (payload: unknown, more: object = {}) => post(CAPTURE, { input: { runId: 'run', payload, ...more } })
  const large = { CANARY, text: CANARY.repeat(20) }

  // A root that cannot be written to, or a store that refuses: then rows that lead nowhere, or out of the root.
  // The server makes the folder when it starts.
  await fetch(endpoint.replace('/graphql', '/health/ready'))
  await rm(`${folder.path}/root`, { recursive: true, force: true })
  await writeFile(`${folder.path}/root`, 'a file, no folder')
  await capture(large)
  await rm(`${folder.path}/root`)
  for (const storageUri of [
    `file://${folder.path}/../x`,
    `file://${folder.path}/root/none.json`,
    `s3://${service?.bucket ?? 'bucket'}/key`,
    `s3://other-${LINK_SECRET.slice(0, 20)}/key`,
  ]) {
    const id = await insertForeign(database.url, { storageUri })
    await post('query($id: ID!) { snapshotById(snapshotId: $id) { payload } }', { id })
  }
  // Values that do not fit, and rows that PostgreSQL refuses with their content in its words.
  await post(CAPTURE, { input: { payload: large } })
  await post(CAPTURE, { input: { runId: 'run', attempt: large, payload: 1 } })
  await post(
    `mutation { captureSnapshot(input: { runId: "run", payload: { a: "${CANARY}" }, attempt: 0 }) { created } }`,
  )
  await capture({ CANARY }, { redactionPolicy: '\u0000' })
  await query(database.url, 'alter table state_snapshots add check (size_bytes < 1) not valid')
  await capture({ CANARY })
  await query(database.url, 'alter table state_snapshots rename column size_bytes to size')
  await capture({ CANARY })
  await query(database.url, 'drop table state_snapshots cascade')
  await capture({ CANARY })
  await post('{ snapshot(runId: "run", stepId: "s") { payload } }')
  await proxy.refuse()
  proxy.resetNow()
  await capture({ CANARY })
  await child.stop()

  const failed = answers.filter(({ errors }) => errors?.length)
  assert.equal(failed.length, answers.length, 'everything was made to fail')
  const codes = new Set(answers.flatMap(codesOf))
  for (const code of ['BAD_REQUEST', 'INTERNAL_SERVER_ERROR', 'STORAGE_UNAVAILABLE', 'DATABASE_UNAVAILABLE']) {
    assert.ok(codes.has(code), `${code} is among ${[...codes]}`)
  }
  const log = child.stdout() + child.stderr()
  assert.ok(log.split('\n').length > 5, 'the log tells of the failures')
  const told = JSON.stringify(answers) + log
  const secrets = {
    CANARY,
    LINK_SECRET,
    S3_SECRET,
    root: folder.path,
    password: url.password,
    user: `${url.username}:`,
  }
  for (const [name, secret] of Object.entries(secrets)) {
    assert.ok(secret.length > 3 && !told.includes(secret), `${name} is told:\n${around(told, secret)}`)
  }
  assert.doesNotMatch(told, /X-Amz-Signature|Authorization: AWS4|AWS4-HMAC/i)
}

function around(text: string, part: string): string {
  const at = text.indexOf(part)
  return text.slice(Math.max(0, at - 300), at + 100)
}
