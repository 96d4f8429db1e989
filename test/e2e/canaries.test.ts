import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { createToken, formatTokenEntry } from '../../src/auth/tokens.ts'
import { freshDatabase } from '../support/database.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { type PlainRequest, send } from '../support/http.ts'
import { openObjects } from '../support/objects.ts'
import { startProcess } from '../support/process.ts'
import { put, storedOf } from '../support/put.ts'
import { insertForeign, query } from '../support/rows.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { tokensFor } from '../support/tokens.ts'
import { WAYS, watchBy } from '../support/watching.ts'

const secret = (name: string) => `${name}${randomBytes(18).toString('hex')}`

/** What is planted; none of it may come back to whoever may not have it, and none into the log. */
const HIDDEN = { key: 'hiddenkey', text: 'hiddentext', escaped: 'hiddenescaped', digits: '8675309867530' }
/** In what is sent, and wrong. */
const OWN = 'ownmistake'
const inEscapes = (text: string) =>
  [...text].map((one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
const STATE = (fill: string) =>
  `{"open":1,"secret":{"${HIDDEN.key}":["${HIDDEN.text}","${inEscapes(HIDDEN.escaped)}",${HIDDEN.digits},{"${inEscapes(HIDDEN.key)}":-${HIDDEN.digits}.5e3}]},
  "s\\u0065cret":"${HIDDEN.text}","fill":"${fill}"}`
/** As it is written in the state, and as it reads. */
const ofState = [...Object.values(HIDDEN), inEscapes(HIDDEN.key), inEscapes(HIDDEN.escaped)]

const FIELDS = `snapshotId digest sizeBytes preview payload metadata integrity(verify: true) storageUri
  at { preview raw(maxBytes: 900000) childCount children { nodes { key pointer preview } } } below: at(pointer: "/secret/x") { raw }
  find(text: "hidden") { nodes { excerpt } scannedBytes } diff { identical summary { key toSizeBytes } changes { nodes { pointer } } }
  previous { preview digest } run { stats { totalBytes } error { message } }`

/** Asks by all ways. What it hears is told, as it came. */
function walkThrough(url: string, ids: readonly string[], hear: (text: string) => void) {
  async function ask(request: PlainRequest): Promise<void> {
    // What is cut in the middle of its body was told until then.
    await send(url, request).then(
      ({ status, headers, body }) => hear(`${status} ${JSON.stringify(headers)} ${body}`),
      (error: Error) => hear(error.message),
    )
  }
  return async (token: string | undefined) => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const post = (body: string) =>
      ask({
        method: 'POST',
        target: '/graphql',
        headers: { ...headers, 'content-type': 'application/json' },
        body,
      })
    const graphql = (text: string) => post(JSON.stringify({ query: text }))
    const requests = ids.flatMap((id, i) => [
      graphql(`{ snapshotById(snapshotId: "${id}") { ${FIELDS} } }`),
      graphql(
        `{ snapshotById(snapshotId: "${id}") { a: diff(from: "${ids[i - 1] ?? id}") { changes { nodes { after { raw } before { raw } } } } } }`,
      ),
      ...[
        'payload',
        'value',
        'value?pointer=/secret',
        'value?pointer=/secret/x',
        'diff',
        `diff?from=${ids[0]}`,
        'payload?exp=1&sig=x',
      ].map((rest) => ask({ target: `/snapshots/${id}/${rest}`, headers })),
      ask({
        target: `/snapshots/${id}/payload`,
        headers: { ...headers, range: 'bytes=5-99', 'accept-encoding': 'gzip' },
      }),
      ask({ method: 'HEAD', target: `/snapshots/${id}/payload`, headers }),
    ])
    await Promise.all(requests)
    await graphql(
      `{ runs { nodes { runId snapshots { nodes { preview digest } } steps { nodes { snapshot { preview sizeBytes } } } } } compareRuns(baseRunId: "run", otherRunId: "run") { steps { nodes { identical } } } }`,
    )
    // What is wrong in itself is told to who sent it, in his own words at most: no log keeps those.
    await graphql(`{ nonsense(${OWN}`)
    await graphql(`{ run(runId: 5${OWN}) { no } }`)
    await graphql(`query ($x: Int = "${OWN}") { snapshotById(snapshotId: "${OWN}") { ${OWN} } }`)
    await post(`{"query": "{ __typename }", "variables": {"${OWN}`)
    const wrong = await put(url, `{"${HIDDEN.key}": "${HIDDEN.text}", nonsense`, { headers })
    hear(`${wrong.status} ${JSON.stringify(wrong.headers)} ${wrong.body}`)
    await ask({ target: '/health/ready' })
    await ask({ target: '/metrics', headers })
    for (const way of WAYS) {
      const text = `subscription { runEvents(runId: "run") { __typename ... on SnapshotCaptured { snapshot { ${FIELDS.replace('integrity(verify: true)', '')} } } } }`
      const watching = await watchBy(way, url, text, { token })
      await watching.until('CaughtUp')
      hear(watching.text())
      await watching[Symbol.asyncDispose]()
    }
  }
}

it('nothing that is secret is in an answer, a header or a line of the log, whoever asks and whatever fails', async () => {
  const planted = { link: secret('link'), s3: secret('s3'), s3Id: secret('id'), jwt: secret('wrong') }
  await using database = await freshDatabase()
  await using folder = await temporaryFolder()
  await using tokens = await tokensFor()
  const strange = createToken('ended', ['read'])
  const url = new URL(database.url)
  await using proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
  url.port = String(proxy.port)
  await writeFile(join(tokens.folder, 'policies.json'), JSON.stringify({ p: ['/secret'] }))
  const root = `${folder.path}/rootofthestore`
  await using child = startProcess({
    args: ['serve'],
    env: {
      ...tokens.env,
      PORT: '0',
      LOG_LEVEL: 'trace',
      // Libraries tell more where that is set.
      NODE_ENV: 'development',
      DATABASE_URL: url.href,
      SNAPSHOT_STORAGE_PATH: root,
      SNAPSHOT_INLINE_MAX_BYTES: '100000',
      SIGNED_URL_SECRET: planted.link,
      REDACTION_POLICIES_FILE: join(tokens.folder, 'policies.json'),
      S3_BUCKET: 'bucket',
      S3_REGION: 'local',
      S3_ENDPOINT_URL: 'http://127.0.0.1:9',
      S3_ACCESS_KEY: planted.s3Id,
      S3_SECRET_KEY: planted.s3,
    },
  })
  const origin = await child.waitForUrl()
  const headers = { authorization: `Bearer ${tokens.token('write')}` }
  const keep = async (text: string, tags: string) =>
    storedOf(await put(origin, text, { query: tags, headers })).snapshotId
  const tagged = 'piiTags=x&redactionPolicy=p'
  const ids = [
    await keep(STATE(''), tagged),
    await keep(STATE('x'.repeat(200_000)), tagged),
    await keep(STATE('y'.repeat(200_000)), 'piiTags=x'),
    await keep(STATE('z'.repeat(200_000)), tagged),
    await insertForeign(database.url, { runId: 'run', storageUri: `s3://bucket/${HIDDEN.text}` }),
    await insertForeign(database.url, { runId: 'run', storageUri: `s3://${planted.s3Id}/key` }),
    await insertForeign(database.url, { runId: 'run', storageUri: `file://${root}/../../x` }),
    await insertForeign(database.url, { runId: 'run', storageUri: 'file:///nothing.json' }),
  ]
  // One that is there and is not what was captured, and one that is no JSON.
  const rows = await query<{ id: string; storage_uri: string }>(
    database.url,
    'select id, storage_uri from state_snapshots where id = any($1)',
    [ids.slice(1, 4)],
  )
  const uriOf = (id: string | undefined) => rows.find((row) => row.id === id)?.storage_uri ?? ''
  using objects = openObjects({ storagePath: root })
  await objects.replace(uriOf(ids[3]), `{"${HIDDEN.key}": ${HIDDEN.text} nonsense`)

  const heard: string[] = []
  const walk = walkThrough(origin, ids, (text) => void heard.push(text))
  const everybody = [tokens.token('read'), tokens.token('write'), undefined, planted.jwt, strange.token]
  for (const token of everybody) await walk(token)
  await appendFile(
    tokens.env['AUTH_TOKENS_FILE'] ?? '',
    `${formatTokenEntry(strange.entry)}\nnonsense ${planted.jwt}\n`,
  )
  // The store is gone, then the database.
  await objects.remove(uriOf(ids[1]))
  await walk(tokens.token('read'))
  await query(database.url, 'alter table state_snapshots rename column content_digest to elsewhere')
  await walk(tokens.token('read'))
  await proxy.refuse()
  proxy.resetNow()
  await walk(tokens.token('read'))
  await child.stop()

  const answers = heard.join('\n')
  for (const code of [
    'FORBIDDEN',
    'UNAUTHENTICATED',
    'OBJECT_CORRUPT',
    'OBJECT_MISSING',
    'STORAGE_URI_REJECTED',
    'STORAGE_UNAVAILABLE',
    'INVALID_PAYLOAD',
    'DATABASE_UNAVAILABLE',
    'INTERNAL_SERVER_ERROR',
    'LINK_INVALID',
    'GRAPHQL_PARSE_FAILED',
  ])
    assert.ok(answers.includes(code), `${code} was among the answers`)
  const log = child.stdout() + child.stderr()
  assert.ok(log.includes('"audit":"masked"') && log.includes('"audit":"denied"'))
  const everywhere = {
    ...planted,
    password: url.password,
    token: tokens.token('read'),
    other: tokens.token('admin'),
    strange: strange.token,
    root,
    hash: formatTokenEntry(strange.entry).slice(-64),
  }
  for (const [where, text] of Object.entries({ answers, log })) {
    for (const [name, one] of Object.entries(everywhere)) refuse(text, one, `${name} in the ${where}`)
    for (const one of ofState) refuse(text, one, `${one} in the ${where}`)
    assert.doesNotMatch(text, /AWS4-HMAC|X-Amz-|postgres(ql)?:\/\/|sig=(?!x)/i)
  }
  assert.doesNotMatch(answers, /originalError|node_modules|\.ts:\d|\bat (?:async )?\w+ \(/)
  refuse(log, OWN, 'what was wrong, in the log')
  assert.match(answers, /\[redacted\]/)
})

function refuse(text: string, part: string, what: string): void {
  assert.ok(part.length > 3, what)
  const at = text.indexOf(part)
  assert.equal(at, -1, `${what}: ${text.slice(Math.max(0, at - 300), at + 100)}`)
}
