import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { capture, codesOf, dataOf } from '../support/answers.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

interface Side {
  readonly stepId: string
}

interface Comparison {
  readonly alignment: string
  readonly base: Side | null
  readonly other: Side | null
  readonly identical: boolean | null
}

interface Compared {
  readonly compareRuns: {
    readonly firstDivergence: Comparison | null
    readonly steps: {
      readonly nodes: readonly Comparison[]
      readonly totalCount: number | null
      readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null }
    }
  } | null
}

const COMPARISON = 'alignment identical base { stepId } other { stepId }'

/** Steps and a small state of each: the same up to a step, and different ones from it on. */
const FILL = `
  with s as (insert into statelens_steps (run_id, step_id, step_index)
    select $1, 'step ' || i, i from generate_series(0, $2 - 1) i returning step_id, step_index)
  insert into state_snapshots (run_id, step_id, payload, size_bytes, request_digest, content_digest)
  select $1, step_id, to_json(v), length(v::text), sha256(v::text::bytea), sha256(v::text::bytea)
  from s, lateral (select case when step_index < $3 then step_index else step_index + $4 end v) v`

const PAYLOAD_COLUMN = /\b(?:snapshot|payload)\b(?! is (?:not )?null)/

describe('two runs beside each other', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
    for (const [i, runId] of ['long a', 'long b'].entries()) {
      await query(server.databaseUrl, 'insert into statelens_runs (run_id) values ($1)', [runId])
      await query(server.databaseUrl, FILL, [runId, 1000, 700, 5000 * i])
    }
  })
  after(() => server[Symbol.asyncDispose]())
  beforeEach(() => {
    server.statements.length = 0
  })

  async function compare(base: string, other: string, args = '(first: 100)') {
    const text = `query($base: String!, $other: String!) { compareRuns(baseRunId: $base, otherRunId: $other) {
      firstDivergence { ${COMPARISON} }
      steps${args} { nodes { ${COMPARISON} } totalCount pageInfo { hasNextPage endCursor } } } }`
    return (await dataOf(server.graphql<Compared>(text, { base, other }))).compareRuns
  }

  /** Each comparison in a few signs: the step, then `=`, `!`, `?`, or `-` or `+` for one run alone. */
  const signs = (nodes: readonly Comparison[]) =>
    nodes.map(({ alignment, base, other, identical }) => {
      if (alignment !== 'MATCHED') return base ? `-${base.stepId}` : `+${other?.stepId}`
      assert.equal(base?.stepId, other?.stepId)
      return `${identical === null ? '?' : identical ? '=' : '!'}${base?.stepId}`
    })

  async function fill(runId: string, steps: Readonly<Record<string, unknown>>) {
    for (const [i, [stepId, payload]] of Object.entries(steps).entries()) {
      await dataOf(
        server.graphql('mutation($input: UpsertStepInput!) { upsertStep(input: $input) { stepId } }', {
          input: { runId, stepId, index: i },
        }),
      )
      if (payload !== undefined) await capture(server, { runId, stepId, payload })
    }
  }

  it('part where they part: 1,000 steps each, in at most six statements, and no payload is read', async () => {
    const text = `{ compareRuns(baseRunId: "long a", otherRunId: "long b") {
      base { runId } other { runId status }
      firstDivergence { ${COMPARISON} base { attempt snapshot { snapshotId digest } } other { snapshot { digest } } }
      steps(first: 100) { nodes { ${COMPARISON} base { status snapshot { digest } } other { snapshot { seq } } } totalCount } } }`
    const { compareRuns } = await dataOf(server.graphql<Compared>(text))
    assert.equal(compareRuns?.firstDivergence?.alignment, 'MATCHED')
    assert.equal(compareRuns.firstDivergence.base?.stepId, 'step 700')
    assert.equal(compareRuns.firstDivergence.identical, false)
    assert.equal(compareRuns.steps.nodes.length, 100)
    assert.equal(compareRuns.steps.totalCount, 1000)
    assert.ok(server.statements.length <= 6, server.statements.join('\n'))
    for (const statement of server.statements) assert.doesNotMatch(statement, PAYLOAD_COLUMN)
  })

  it('are told in pages, each step once and in order', async () => {
    const nodes: Comparison[] = []
    let cursor: string | null = null
    do {
      const compared = await compare('long a', 'long b', cursor === null ? '' : `(first: 90, after: "${cursor}")`)
      assert.ok(compared)
      nodes.push(...compared.steps.nodes)
      cursor = compared.steps.pageInfo.hasNextPage ? compared.steps.pageInfo.endCursor : null
      if (nodes.length === 50) assert.equal(compared.steps.nodes.length, 50, 'the size where none is given')
    } while (cursor !== null)
    const expected = Array.from({ length: 1000 }, (_, i) => `${i < 700 ? '=' : '!'}step ${i}`)
    assert.deepEqual(signs(nodes), expected)
  })

  it('show what is in one alone at its place', async () => {
    await fill('base', { plan: 1, fetch: 2, check: 3, write: 4 })
    await fill('other', { plan: 1, search: 2, rank: 3, check: 3, write: 5, report: 6 })
    const compared = await compare('base', 'other')
    assert.ok(compared)
    assert.deepEqual(signs(compared.steps.nodes), [
      '=plan',
      '-fetch',
      '+search',
      '+rank',
      '=check',
      '!write',
      '+report',
    ])
    assert.deepEqual(signs([compared.firstDivergence as Comparison]), ['-fetch'])
    const mirrored = await compare('other', 'base')
    assert.deepEqual(signs([mirrored?.firstDivergence as Comparison]), ['-search'])
  })

  it('show a step that changed places at both', async () => {
    await fill('ordered', { a: 1, b: 2, c: 3 })
    await fill('turned', { c: 3, a: 1, b: 2 })
    assert.deepEqual(signs((await compare('ordered', 'turned'))?.steps.nodes ?? []), ['+c', '=a', '=b', '-c'])
  })

  it('are as different as their digests know', async () => {
    await fill('known', { both: 1, none: undefined, one: 2, foreign: 3 })
    await fill('unknown', { both: 1, none: undefined, one: undefined })
    await insertForeign(server.databaseUrl, { runId: 'unknown', stepId: 'foreign', payload: '3' })
    const compared = await compare('known', 'unknown')
    assert.deepEqual(signs(compared?.steps.nodes ?? []), ['=both', '?none', '!one', '?foreign'])
    assert.deepEqual(signs([compared?.firstDivergence as Comparison]), ['!one'])
  })

  it('part where a step took another number of attempts, and not at all where they are the same', async () => {
    await fill('first time', { a: 1, b: 2 })
    await fill('second time', { a: 1, b: 2 })
    assert.equal((await compare('first time', 'second time'))?.firstDivergence, null)
    const retried = '{ runId: "second time", stepId: "b", attempt: 2 }'
    await dataOf(server.graphql(`mutation { upsertStep(input: ${retried}) { attempt } }`))
    const compared = await compare('first time', 'second time')
    assert.deepEqual(signs([compared?.firstDivergence as Comparison]), ['=b'])
    assert.deepEqual(await compare('long a', 'long a').then((same) => same?.firstDivergence), null)
  })

  it('are null when either is not there, and cost the list of their steps alone when only that is asked for', async () => {
    assert.equal(await compare('long a', 'nowhere'), null)
    assert.equal(await compare('\u0000', 'long a'), null)
    server.statements.length = 0
    await dataOf(server.graphql('{ compareRuns(baseRunId: "long a", otherRunId: "long b") { base { status } } }'))
    assert.equal(server.statements.length, 1)
  })

  it('refuse a cursor of another list, and too large a page', async () => {
    for (const args of ['(after: "WyJzdGVwcyIsIjEiLCIxIl0")', '(first: 101)', '(first: -1)']) {
      const text = `{ compareRuns(baseRunId: "long a", otherRunId: "long b") { steps${args} { totalCount } } }`
      assert.deepEqual(codesOf(await server.graphql(text)), ['BAD_REQUEST'], args)
    }
  })
})
