import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { dataOf } from './support/answers.ts'
import { describeWith } from './support/describe-with.ts'
import { s3Env } from './support/objects.ts'
import { startServer, type TestServer } from './support/server.ts'
import { type S3Service, s3, type Unavailable } from './support/services.ts'
import { temporaryFolder } from './support/tmp.ts'

const PAGE = await readFile('docs/producers.md', 'utf8')
const CLIENT = new URL('../src/client/client.ts', import.meta.url).href
const execute = promisify(execFile)

/** The page's blocks in one language, in order. */
function blocksOf(language: string): string[] {
  return [...PAGE.matchAll(/^```(\w+)\n(.*?)^```/gms)].flatMap(([, name, text = '']) =>
    name === language ? [text] : [],
  )
}

interface Program {
  readonly run: string
  /** What the page's texts are written to, and run by. */
  readonly file: string
  readonly command: readonly string[]
  readonly text: string
}

/** What each part of the page runs as; `run` is the id that it captures under. */
const PROGRAMS = {
  curl: { run: 'curl-run', file: 'page.sh', command: ['sh', '-e'], text: blocksOf('sh').join('\n') },
  python: { run: 'python-run', file: 'page.py', command: ['python3'], text: blocksOf('python').join('\n') },
  typescript: { run: 'my-run', file: 'page.ts', command: [process.execPath], text: blocksOf('ts').join('\n') },
} as const satisfies Record<string, Program>

/** Bytes that a parser which writes JSON again would change. So few that they are kept inline: each way has to bring its own. */
const state = Buffer.from(`{"id":"${randomUUID()}","a":1e400, "a":-0${' '.repeat(200_000)}}`)
const digest = `sha256:${createHash('sha256').update(state).digest('hex')}`

interface Captured {
  readonly digest: string
  readonly kind: string
  readonly metadata: unknown
  readonly step: { readonly stepId: string } | null
}

async function run({ file, command, text }: Program, { url }: TestServer): Promise<void> {
  await using folder = await temporaryFolder()
  await writeFile(`${folder.path}/state.json`, state)
  const page = text.replaceAll('http://127.0.0.1:4000', url).replaceAll("'statelens/client'", `'${CLIENT}'`)
  await writeFile(`${folder.path}/${file}`, page)
  const [program = '', ...args] = command
  await execute(program, [...args, file], { cwd: folder.path, timeout: 50_000 })
}

async function capturesOf(server: TestServer, runId: string): Promise<Captured[]> {
  const query = `query($runId: String!) {
    run(runId: $runId) { snapshots { edges { node { digest kind metadata step { stepId } } } } }
  }`
  type Answer = { run: { snapshots: { edges: { node: Captured }[] } } }
  const { run } = await dataOf(server.graphql<Answer>(query, { runId }))
  return run.snapshots.edges.map(({ node }) => node)
}

function testPage(language: 'curl' | 'python', env: Record<string, string>): void {
  it('captures by all three ways, twice with one result', async () => {
    await using server = await startServer({ env })
    const program = PROGRAMS[language]
    for (let times = 0; times < 2; times++) await run(program, server)
    const [plan, embed, alone, ...more] = await capturesOf(server, program.run)
    assert.deepEqual([plan?.kind, plan?.metadata, plan?.step], ['OUTPUT', { model: 'small' }, { stepId: 'plan' }])
    assert.deepEqual([embed?.kind, embed?.digest, embed?.step], ['OUTPUT', digest, { stepId: 'embed' }])
    assert.deepEqual([alone?.digest, alone?.metadata, alone?.step], [digest, { model: 'large' }, null])
    assert.deepEqual(more, [])
  })
}

/** The programs that a part of the page needs, each asked for its version. */
async function find(programs: readonly string[]): Promise<object | Unavailable> {
  for (const program of programs) {
    const found = await execute(program, ['--version']).catch(() => null)
    if (found === null) return { unavailable: `The page for producers is not run: put ${program} on the PATH` }
  }
  return {}
}

async function findWithS3(programs: readonly string[]): Promise<S3Service | Unavailable> {
  const found = await find(programs)
  return 'unavailable' in found ? { unavailable: String(found.unavailable) } : await s3()
}

describe('the page for producers', () => {
  it('shows TypeScript that captures a value, a file and a stream', async () => {
    await using server = await startServer()
    await run(PROGRAMS.typescript, server)
    const captures = await capturesOf(server, PROGRAMS.typescript.run)
    assert.deepEqual(
      captures.map(({ step }) => step?.stepId),
      ['plan', 'embed', 'log'],
    )
    assert.deepEqual([captures[0]?.metadata, captures[1]?.digest], [{ model: 'small' }, digest])
  })
})

for (const [language, programs] of [
  ['curl', ['curl', 'jq', 'sha256sum']],
  ['python', ['python3']],
] as const) {
  await describeWith(
    `the page's ${language}, into files`,
    () => find(programs),
    () => testPage(language, {}),
  )
  const intoS3 = `the page's ${language}, into S3`
  await describeWith(
    intoS3,
    () => findWithS3(programs),
    (service) => testPage(language, s3Env(service)),
  )
}
