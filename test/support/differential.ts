import assert from 'node:assert/strict'
import { encodeGlobalId, encodeStepKey } from '../../src/model/ids.ts'
import { dataOf, rawPost, withStableCursors } from './answers.ts'
import { createPlainExecution, type GraphqlOperation, type PlainExecution } from './plain-execution.ts'
import { type CLASSES, type RandomWords, randomOperation } from './random-operations.ts'
import { fillSample, now, SAMPLE } from './sample-store.ts'
import { startServer, type TestServer } from './server.ts'

/** A server over a small store, and graphql-js alone over the same one. */
export interface Differential extends AsyncDisposable {
  readonly server: TestServer
  readonly plain: PlainExecution
  readonly words: RandomWords
}

export async function startDifferential(): Promise<Differential> {
  await using cleanup = new AsyncDisposableStack()
  const env = { SNAPSHOT_INLINE_MAX_BYTES: '100000' }
  const first = cleanup.use(await startServer({ env }))
  await fillSample(first)
  // Its cache holds nothing of what was captured.
  const server = cleanup.use(await startServer({ env, store: first, now }))
  const plain = cleanup.use(createPlainExecution({ server, now }))
  const words = await wordsOf(server)
  const owned = cleanup.move()
  return { server, plain, words, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const VERIFY = '{ run(runId: "run 1") { snapshots { edges { node { integrity(verify: true) payload } } } } }'

async function wordsOf(server: TestServer): Promise<RandomWords> {
  // What a first read or verification notes is noted now: later ones find it so.
  await server.graphql(VERIFY)
  await server.graphql(VERIFY.replace('run 1', 'foreign'))
  const page = 'pageInfo { endCursor }'
  type Pages = Record<string, { readonly pageInfo: { readonly endCursor: string } }>
  const { run, runs } = await dataOf(
    server.graphql<{ run: Pages; runs: Pages[string] }>(
      `{ run(runId: "run 1") { steps(first: 2) { ${page} } snapshots(first: 2) { ${page} } } runs(first: 1) { ${page} } }`,
    ),
  )
  const runIds = ['run 1', 'run 1', 'run 1', 'foreign', 'run 2', 'none']
  const stepIds = ['step 1', 'step 2', 'step 3', 'step 4', 'lost', 'none']
  const snapshotIds = [...Object.values(SAMPLE), '00000000-0000-4000-8000-00000000ffff', 'no uuid']
  return {
    runIds,
    stepIds,
    snapshotIds,
    globalIds: [
      encodeGlobalId('Run', 'run 1'),
      encodeGlobalId('Step', encodeStepKey('run 1', 'step 1')),
      ...snapshotIds.map((id) => encodeGlobalId('Snapshot', id)),
      'no id',
    ],
    cursors: [run['steps'], run['snapshots'], runs].map((one) => one?.pageInfo.endCursor ?? '').concat('no cursor'),
  }
}

export interface RandomCheck {
  readonly seed: number
  readonly kind: keyof typeof CLASSES
}

/** @returns how many of the answers were compared; others were refused as too large. @throws AssertionError at the first difference. */
export async function checkRandom(differential: Differential, { seed, kind }: RandomCheck): Promise<number> {
  const { query, operationName, variableSets } = randomOperation(seed, kind, differential.words)
  const operations = variableSets.map((variables) => ({ query, operationName, variables }))
  const first: Answer[] = []
  for (const operation of operations) first.push(await askServer(differential, operation))
  let compared = 0
  // The last first: now what the server remembers of the text has seen every set.
  for (const [index, operation] of [...operations.entries()].toReversed()) {
    const answers = [first[index] as Answer, await askServer(differential, operation)]
    if (answers[0]?.errors.some((error) => error.includes('"QUERY_TOO_COMPLEX"'))) continue
    await checkOne(differential, operation, answers)
    compared++
  }
  return compared
}

interface Answer {
  readonly data: string
  /** In an order of their own: fields that are resolved at the same time fail in any. */
  readonly errors: readonly string[]
}

/**
 * The data must be the same each time. Of the errors as well, but for those of a race: where one of them takes its surroundings with
 * it, what failed there before is told and what fails later is not. Then one course of the race must be met by both.
 */
async function checkOne(differential: Differential, operation: GraphqlOperation, answers: Answer[]): Promise<void> {
  const told = JSON.stringify(operation)
  const expected = [await askPlain(differential, operation)]
  for (let attempt = 0; attempt < 10; attempt++) {
    const all = [...answers, ...expected]
    for (const { data } of all) assert.equal(data, all[0]?.data, told)
    if (attempt === 0 && new Set(all.map(textOf)).size === 1) return
    if (attempt > 0 && answers.some((answer) => expected.map(textOf).includes(textOf(answer)))) return
    answers.push(await askServer(differential, operation))
    expected.push(await askPlain(differential, operation))
  }
  assert.deepEqual(answers.at(-1)?.errors, expected.at(-1)?.errors, told)
}

const textOf = ({ errors }: Answer) => errors.join()

async function askServer({ server }: Differential, operation: GraphqlOperation): Promise<Answer> {
  const { bytes } = await rawPost(server.url, JSON.stringify(operation))
  return readAnswer(bytes.toString())
}

async function askPlain({ plain }: Differential, operation: GraphqlOperation): Promise<Answer> {
  return readAnswer(await plain.answer(operation))
}

function readAnswer(text: string): Answer {
  // When a link ends, and its signature, are those of the moment.
  const stable = withStableCursors(text.replace(/\/payload\?[^"]*"/g, '/payload"'))
  const { errors = [] }: { readonly errors?: readonly unknown[] } = JSON.parse(stable)
  const end = errors.length > 0 ? `"errors":${JSON.stringify(errors)}}` : '}'
  assert.ok(stable.endsWith(end), stable)
  return { data: stable.slice(0, -end.length), errors: errors.map((error) => JSON.stringify(error)).sort() }
}
