import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { readConfig } from '../../src/config.ts'
import { DEFAULT_LIMITS } from '../../src/graphql/limits.ts'
import { codesOf, dataOf, rawPost } from '../support/answers.ts'
import { cpuMillis } from '../support/cpu.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const doubling = (levels: number) =>
  `{ ...f0 } ${Array.from({ length: levels }, (_, i) => `fragment f${i} on Query { ...f${i + 1} ...f${i + 1} }`).join(' ')}
  fragment f${levels} on Query { __typename }`

const chain = (length: number) =>
  `{ ...f0 } ${Array.from({ length }, (_, i) => `fragment f${i} on Query { ...f${i + 1} }`).join(' ')}
  fragment f${length} on Query { __typename }`

const nested = (depth: number) => `{ run(runId: "r") ${'{ parentRun '.repeat(depth)} { runId } ${'}'.repeat(depth)} }`

const list = (depth: number) =>
  `{ runs(filter: { status: ${'['.repeat(depth)}${']'.repeat(depth)} }) { edges { cursor } } }`

const aliases = (count: number) =>
  `{ ${Array.from({ length: count }, (_, i) => `a${i}: run(runId: "r") { runId }`).join(' ')} }`

const pages = (sizes: string, head = '') =>
  `query ${head} { runs(${sizes}) { edges { node { steps(${sizes}) { edges { node { snapshots(${sizes}) { edges { node {
    seq } } } } } } } } } }`

const TOO_COMPLEX = 'QUERY_TOO_COMPLEX'
const NOT_PARSED = 'GRAPHQL_PARSE_FAILED'
const NOT_VALID = 'GRAPHQL_VALIDATION_FAILED'

/** Lists of one are lists, also where a client leaves out the brackets. */
const inOneNode = (ids: string, sizes: string, head = '') =>
  `query ${head} { nodes(ids: ${ids}) { ... on Run { steps(${sizes}) { edges { node { snapshots(${sizes}) { edges { node { run { steps(${sizes}) { edges { node {
    snapshots(${sizes}) { edges { node { seq } } } } } } } } } } } } } } } }`
const inOneEntity = (reference: string, sizes: string, head = '') =>
  inOneNode('', sizes, head).replace('nodes(ids: )', `_entities(representations: ${reference})`)

const REFERENCE = { __typename: 'Run', runId: 'big' }

/** Every one of these would cost far more than it is long. */
const ATTACKS: readonly (readonly [name: string, text: string, code: string, variables?: object])[] = [
  ['20 doubling fragments', doubling(20), TOO_COMPLEX],
  ['60 doubling fragments', doubling(60), TOO_COMPLEX],
  ['101 aliases', aliases(101), TOO_COMPLEX],
  ['1,000 aliases', aliases(1000), TOO_COMPLEX],
  ['10,000 aliases', aliases(10_000), TOO_COMPLEX],
  ['a chain of 5,000 fragments', chain(5000), TOO_COMPLEX],
  ['17 levels', nested(16), TOO_COMPLEX],
  ['300 levels', nested(300), TOO_COMPLEX],
  ['20,000 levels', nested(20_000), TOO_COMPLEX],
  ['20,000 levels without spaces', `${'{a'.repeat(20_000)}`, TOO_COMPLEX],
  ['5,000 levels within the text limit', `${'{a'.repeat(5000)}`, TOO_COMPLEX],
  ['a list literal of 20,000 levels', list(20_000), TOO_COMPLEX],
  ['a list literal of 5,000 levels', list(5000), TOO_COMPLEX],
  ['a list literal of 980 levels', list(980), NOT_VALID],
  ['a text of more than 16 KiB', `{ __typename } #${'x'.repeat(16_384)}`, TOO_COMPLEX],
  ['a literal of more than 16 KiB', `{ run(runId: "${'x'.repeat(16_384)}") { runId } }`, TOO_COMPLEX],
  ['16 KiB of characters of four bytes', `{ run(runId: "${'🙂'.repeat(4096)}") { runId } }`, TOO_COMPLEX],
  ['2,001 tokens', `{ ${'a '.repeat(2000)} }`, TOO_COMPLEX],
  ['51 directives', `{ ${'__typename @skip(if: false) '.repeat(51)} }`, TOO_COMPLEX],
  ['200 directives in one place', `{ __typename ${'@skip(if: false) '.repeat(200)} }`, NOT_VALID],
  ['1,001 fields', `{ ${'__typename '.repeat(1001)} }`, TOO_COMPLEX],
  ['circular fragments', '{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }', NOT_VALID],
  ['a fragment of itself', '{ ...a } fragment a on Query { ...a }', NOT_VALID],
  ['nested pages by literals', pages('first: 100'), TOO_COMPLEX],
  [
    'nested pages by default',
    pages('first: null')
      .replaceAll('steps(first: null)', 'steps(first: 100)')
      .replace('runs(first: null)', 'runs(first: 100)'),
    TOO_COMPLEX,
  ],
  ['nested pages counted backward', pages('last: 100'), TOO_COMPLEX],
  ['nested pages behind a null', pages('first: null, last: 100'), TOO_COMPLEX],
  ['nested pages by variables', pages('first: $n', '($n: Int)'), TOO_COMPLEX, { n: 100 }],
  ['nested pages by the default of a variable', pages('first: $n', '($n: Int = 100)'), TOO_COMPLEX],
  [
    'nested pages hidden by a negative one',
    `{ x: runs(first: -2147483648) { edges { node { runId } } } ${pages('first: 100').slice(8)}`,
    TOO_COMPLEX,
  ],
  [
    'pages of many nodes',
    '{ nodes(ids: [IDS]) { ... on Run { steps(first: 100) { edges { node { stepId } } } } } }'.replace(
      'IDS',
      '"x" '.repeat(300),
    ),
    TOO_COMPLEX,
  ],
  [
    'pages of many nodes by variables',
    'query($ids: [ID!]!) { nodes(ids: $ids) { ... on Run { steps(first: 100) { edges { node { stepId } } } } } }',
    TOO_COMPLEX,
    { ids: Array.from({ length: 300 }, () => 'x') },
  ],
  ['data 1.2: pages in one node that is no list', inOneNode('"x"', 'first: 60'), TOO_COMPLEX],
  [
    'data 1.2: pages in one node that is no list, by variables',
    inOneNode('$ids', 'first: $n', '($ids: [ID!]!, $n: Int)'),
    TOO_COMPLEX,
    { ids: 'x', n: 20 },
  ],
  [
    'data 1.2: pages in one entity that is no list',
    inOneEntity('{ __typename: "Run", runId: "big" }', 'first: 60'),
    TOO_COMPLEX,
  ],
  [
    'data 1.2: pages in one entity that is no list, by variables',
    inOneEntity('$all', 'first: $n', '($all: [_Any!]!, $n: Int)'),
    TOO_COMPLEX,
    { all: REFERENCE, n: 20 },
  ],
  [
    'many fields of many objects',
    `{ runs(first: 100) { edges { node { steps(first: 100) { edges { node { ${Array.from({ length: 60 }, (_, i) => `a${i}: stepId`).join(' ')} } } } } } } }`,
    TOO_COMPLEX,
  ],
  [
    '101 verifications',
    '{ runs(first: 100) { edges { node { latestSnapshot { integrity(verify: true) } } } } snapshotById(snapshotId: "x") { integrity(verify: true) } }',
    TOO_COMPLEX,
  ],
]

describe('operations that ask for too much', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  for (const [name, text, code, variables] of ATTACKS) {
    it(`are refused before any SQL: ${name}`, async () => {
      server.statements.length = 0
      const answer = await server.graphql(text, variables)
      assert.deepEqual([answer.status, codesOf(answer)[0]], [400, code])
      assert.equal(answer.data, undefined)
      assert.deepEqual(server.statements, [])
    })
  }

  it('are refused the second time as the first, though the text is remembered', async () => {
    for (let i = 0; i < 2; i++) {
      const text = pages('first: $n', '($n: Int)')
      assert.equal((await server.graphql(text, { n: 100 })).status, 400)
      await dataOf(server.graphql(text, { n: 10 }))
      assert.equal((await server.graphql(doubling(20))).status, 400)
    }
  })

  it('are refused in little time and with short words', async () => {
    const start = performance.now()
    for (const text of [doubling(60), aliases(1000), chain(300), `{ ${'nope '.repeat(1900)} }`]) {
      const { bytes, status } = await rawPost(server.url, JSON.stringify({ query: text }))
      assert.equal(status, 400)
      assert.ok(bytes.length < 10_000, `${bytes.length}`)
    }
    assert.ok(performance.now() - start < 2000, 'unguarded, the first alone takes for ever')
  })

  it('are refused with the limit and the figure', async () => {
    for (const [text, limit, allowed, asked] of [
      [pages('first: 100'), 'nodes', 25_000, 1_010_100],
      [aliases(101), 'aliases', 100, 101],
      [nested(16), 'depth', 16, 18],
      [`{ ${'__typename '.repeat(1001)} }`, 'fields', 1000, 1001],
      [`{ ${'a '.repeat(2000)} }`, 'tokens', 2000, 2002],
      [`{ __typename } #${'x'.repeat(16_384)}`, 'queryBytes', 16_384, 16_400],
      [`{ ${'__typename @skip(if: false) '.repeat(51)} }`, 'directives', 50, 51],
    ] as const) {
      const { errors = [] } = await server.graphql(text)
      assert.deepEqual(errors[0]?.extensions, { code: TOO_COMPLEX, limit, allowed, asked })
      assert.match(errors[0]?.message ?? '', new RegExp(`${asked} .*${allowed}`))
    }
  })

  it('data 1.2: are refused in 50 ms, whatever the way', async () => {
    const ways = ATTACKS.filter(([name]) => name.startsWith('data 1.2'))
    assert.equal(ways.length, 4)
    for (const [name, text, , variables] of ways) {
      const took = await cpuMillis(() => server.graphql(text, variables))
      assert.ok(took < 50, `${name}: ${took} ms`)
    }
  })

  it('data 1.4: are those whose answer weighs too much, once that is known', async () => {
    const metadata = JSON.stringify({ log: 'x'.repeat(65_000) })
    await query(
      server.databaseUrl,
      `insert into state_snapshots (run_id, step_id, payload, metadata)
       select 'heavy', 'step ' || n, '1', $1::json from generate_series(1, 100) n`,
      [metadata],
    )
    const asking = (times: number) =>
      `{ run(runId: "heavy") { snapshots(first: 100) { edges { node { ${Array.from({ length: times }, (_, i) => `a${i}: metadata`).join(' ')} } } } } }`
    const light = await rawPost(server.url, JSON.stringify({ query: asking(5) }))
    assert.equal(light.status, 200)
    assert.ok(light.bytes.length > 500 * metadata.length)
    const before = process.memoryUsage().rss
    const heavy = await server.graphql(asking(99))
    assert.ok(process.memoryUsage().rss - before < 64 * 1_048_576)
    assert.equal(heavy.status, 400)
    assert.equal(heavy.data, undefined)
    const [error, ...others] = heavy.errors ?? []
    assert.deepEqual(others, [])
    assert.partialDeepStrictEqual(error?.extensions, { code: TOO_COMPLEX, limit: 'bytes', allowed: 67_108_864 })
  })

  it('are not a page of 100 runs with 100 steps each, with their newest snapshots', async () => {
    const item =
      'stepId index name status startedAt endedAt error { message } snapshot { snapshotId seq sizeBytes piiTags }'
    const text = `{ runs(first: 100) { edges { node { runId tags { key value } steps(first: 100) { edges { node { ${item} } } pageInfo { hasNextPage } } } } } }`
    await dataOf(server.graphql(text))
  })

  it('are judged by what runs: what a condition leaves out costs nothing', async () => {
    const text = `query($n: Int, $yes: Boolean!) { __typename ...All @include(if: $yes) } fragment All on Query ${pages('first: $n').slice(7)}`
    assert.equal((await server.graphql(text, { n: 100, yes: true })).status, 400)
    await dataOf(server.graphql(text, { n: 100, yes: false }))
    const other = `query A { __typename } query B ${pages('first: 100').slice(7)}`
    const { status } = await rawPost(server.url, JSON.stringify({ query: other, operationName: 'A' }))
    assert.equal(status, 200)
  })

  it('are not what clients send: fragments, aliases and pages within the limits are served', async () => {
    await dataOf(server.graphql(aliases(100)))
    await dataOf(server.graphql(nested(13)))
    await dataOf(server.graphql(doubling(5)))
    await dataOf(server.graphql(`{ run(runId: "${'x'.repeat(16_000)}") { runId } }`))
    await dataOf(server.graphql(pages('first: $n', '($n: Int)'), { n: 20 }))
    await dataOf(server.graphql(pages('first: 20')))
    await dataOf(server.graphql('query($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: [] }))
  })
})

it('other limits are those of the settings', async () => {
  await using server = await startServer({ env: { QUERY_LIMITS: 'nodes=2000000,values=3000000,aliases=3' } })
  await dataOf(server.graphql(pages('first: 100')))
  const { errors = [] } = await server.graphql(aliases(4))
  assert.deepEqual(errors[0]?.extensions, { code: TOO_COMPLEX, limit: 'aliases', allowed: 3, asked: 4 })
})

it('the limits are told as they are', async () => {
  const documentation = await readFile(new URL('../../docs/graphql.md', import.meta.url), 'utf8')
  const rows = [...documentation.matchAll(/^\| `(\w+)` \| ([\d,]+) \|/gm)]
  const told = Object.fromEntries(rows.map(([, name, figure = '']) => [name, Number(figure.replaceAll(',', ''))]))
  assert.deepEqual(told, DEFAULT_LIMITS)
  const all = readConfig({
    QUERY_LIMITS: Object.entries(DEFAULT_LIMITS)
      .map(([name, most]) => `${name}=${most}`)
      .join(),
  })
  assert.deepEqual(all.queryLimits, DEFAULT_LIMITS)
})

describe('operations that are wrong', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  for (const text of [
    '{ run(runId: "r") { statu } }',
    '{ runz { edges { cursor } } }',
    '{ runs(frist: 1) { edges { cursor } } }',
    '{ runs(orderBy: CREATED_DES) { edges { cursor } } }',
    '{ runs(filter: { statu: RUNNING }) { edges { cursor } } }',
    '{ node(id: "x") { ... on Runn { runId } } }',
    '{ node(id: "x") { runId } }',
    '{ __typename @skipp(if: true) }',
    'query($x: RunFilte) { runs(filter: $x) { edges { cursor } } }',
    'mutation { upsertRunn }',
  ]) {
    it(`get no guess at what was meant: ${text}`, async () => {
      server.statements.length = 0
      const { bytes, status } = await rawPost(server.url, JSON.stringify({ query: text }))
      assert.deepEqual([status, codesOf(JSON.parse(bytes.toString()))], [400, [NOT_VALID]])
      assert.doesNotMatch(bytes.toString(), /Did you mean/i)
      assert.deepEqual(server.statements, [])
    })
  }

  it('that do not parse are told so', async () => {
    for (const text of ['{', '', '{ run(runId: "', 'query { a } }', '\u0000']) {
      const answer = await server.graphql(text)
      assert.equal(answer.status, 400)
      assert.ok([NOT_PARSED, 'BAD_REQUEST'].includes(codesOf(answer).join()), `${text}: ${codesOf(answer)}`)
    }
  })

  it('that name no operation of several, or an unknown one, are a bad request', async () => {
    const query = 'query A { __typename } query B { __typename }'
    for (const operationName of [undefined, 'C', '']) {
      const { status, bytes } = await rawPost(server.url, JSON.stringify({ query, operationName }))
      assert.deepEqual([status, codesOf(JSON.parse(bytes.toString()))], [400, ['BAD_REQUEST']])
    }
  })
})
