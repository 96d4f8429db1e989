import { createHmac, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { openAccess } from '../../src/access.ts'
import { createToken, formatTokenEntry } from '../../src/auth/tokens.ts'
import { readConfig } from '../../src/config.ts'
import { createLogger } from '../../src/log.ts'
import { printBarsOf } from './bars.ts'
import { generateLoad } from './load.ts'
import type { PartContext } from './parts.ts'
import { cpuSeconds, type ServerProcess, startServer } from './processes.ts'
import { type BenchQuery, QUERIES } from './queries.ts'
import { formatNumber, print, printTable } from './report.ts'
import { takeTurns } from './rounds.ts'
import type { Session } from './session.ts'
import { questions } from './small-queries.ts'
import { median, pairedRatio, ratios } from './statistics.ts'

interface Mode {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
}

interface Candidate extends Mode {
  readonly server: ServerProcess
  /** Milliseconds of CPU for each question, one figure a round. */
  readonly cpuMillis: number[]
}

/** Turns are short, and there are many: what slows the machine down for a while is in all three of a round. */
const ROUNDS_FACTOR = 3

/** Q1 of who is nobody, of who shows a token, and of who shows a JWT, each to a server of its own. */
export async function authCost(context: PartContext): Promise<void> {
  const { session, shared, form, pin } = context
  const store = await shared.seededStore()
  const candidates: Candidate[] = []
  for (const mode of await modes(session)) {
    const env = { ...store.env, ...mode.env, PORT: '0', DATA_DIR: await session.folder() }
    const server = await startServer(session, pin, { name: mode.name, args: ['src/main.ts', 'serve'], env })
    candidates.push({ ...mode, server, cpuMillis: [] })
  }
  const [query] = QUERIES as [BenchQuery]
  const rounds = form.rounds * ROUNDS_FACTOR
  await takeTurns(candidates, { rounds, warmUps: 1 }, async ({ server, headers, cpuMillis }, round) => {
    session.throwIfOver()
    const next = questions(query, { dialect: 'statelens' }, { seed: 1000 + round, runs: form.runs })
    const nextRequest = () => ({ ...next(), headers })
    const load = { origin: server.origin, connections: form.connections, nextRequest, leastBytes: 500 }
    if (round < 0) return void (await generateLoad({ ...load, seconds: form.warmUpSeconds, most: 2 * query.warmUp }))
    await generateLoad({ ...load, seconds: form.seconds / 8 })
    const before = await cpuSeconds(server.pid)
    const { requests } = await generateLoad({ ...load, seconds: form.seconds })
    cpuMillis.push((1000 * ((await cpuSeconds(server.pid)) - before)) / requests)
  })
  const alone: number[] = []
  for (const mode of candidates) alone.push(await askAlone(mode))
  report(candidates, alone)
}

const CALLS = 50_000
const TURNS = 7

/** Milliseconds of CPU for each time that it is asked who somebody is: the least of some turns, as others are at work beside it. */
async function askAlone({ env, headers }: Mode): Promise<number> {
  const { authenticate } = openAccess({ config: readConfig(env), log: createLogger({ level: 'silent' }) })
  if (!authenticate) return 0
  const request = new IncomingMessage(new Socket())
  const shown = { authorization: headers['authorization'], address: '127.0.0.1', request }
  let least = Number.POSITIVE_INFINITY
  for (let turn = 0; turn < TURNS; turn++) {
    const before = process.threadCpuUsage()
    for (let call = 0; call < CALLS; call++) {
      const found = authenticate(shown)
      // Only the first time has to be waited for.
      if (found instanceof Promise) await found
    }
    const { user, system } = process.threadCpuUsage(before)
    least = Math.min(least, (user + system) / 1000 / CALLS)
  }
  return least
}

function report(candidates: readonly Candidate[], alone: readonly number[]): void {
  const [none, token, jwt] = candidates as [Candidate, Candidate, Candidate]
  const ofQ1 = alone.map((millis) => (100 * millis) / median(none.cpuMillis))
  print('**Q1, one snapshot with its payload, by who asks**')
  print()
  printTable(
    ['AUTH_MODE', 'ms of CPU for each', 'ratio', 'who it is, alone, µs', '% of Q1'],
    candidates.map(({ name, cpuMillis }, i) => [
      name,
      formatNumber(median(cpuMillis)),
      formatNumber(pairedRatio(cpuMillis, none.cpuMillis)),
      formatNumber(1000 * (alone[i] ?? Number.NaN)),
      formatNumber(ofQ1[i] ?? Number.NaN),
    ]),
  )
  printBarsOf('Bars', [
    { bar: 'auth.token', values: ratios(token.cpuMillis, none.cpuMillis) },
    { bar: 'auth.jwt', values: ratios(jwt.cpuMillis, none.cpuMillis) },
    { bar: 'auth.token.alone', values: ofQ1.slice(1, 2) },
    { bar: 'auth.jwt.alone', values: ofQ1.slice(2, 3) },
  ])
}

async function modes(session: Session): Promise<readonly Mode[]> {
  const path = join(await session.folder(), 'tokens')
  const { token, entry } = createToken('bench', ['read', 'pii:read'])
  await writeFile(path, `${formatTokenEntry(entry)}\n`, { mode: 0o600 })
  const secret = randomBytes(32).toString('hex')
  return [
    { name: 'none', env: {}, headers: {} },
    {
      name: 'token',
      env: { AUTH_MODE: 'token', AUTH_TOKENS_FILE: path },
      headers: { authorization: `Bearer ${token}` },
    },
    {
      name: 'jwt',
      env: { AUTH_MODE: 'jwt', JWT_SECRET: secret, JWT_ISSUER: 'https://issuer.example', JWT_AUDIENCE: 'statelens' },
      headers: { authorization: `Bearer ${signed(secret)}` },
    },
  ]
}

function signed(secret: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const exp = Math.floor(Date.now() / 1000) + 86_400
  const claims = { sub: 'bench', exp, iss: 'https://issuer.example', aud: 'statelens', scope: 'read pii:read' }
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}
