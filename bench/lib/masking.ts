import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SCOPES } from '../../src/auth/scopes.ts'
import { createToken, formatTokenEntry } from '../../src/auth/tokens.ts'
import { printBarsOf } from './bars.ts'
import type { PartContext } from './parts.ts'
import { type Bench, getSource, setUp } from './payload-setup.ts'
import type { ProbedServer } from './processes.ts'
import type { Session } from './session.ts'
import { createState, type State } from './states.ts'
import { download, type Stored, upload } from './transfer.ts'
import { compareWays, cpuRatio, type Figures, headWays, printWays, type Way, watchWays } from './ways.ts'

/** What is masked of the states of this bench: something of every message, and one value among hundreds of megabytes. */
const POLICIES = {
  every: ['/messages/*/content', '/messages/*/usage/cost', '/customer/email'],
  one: ['/messages/5/content'],
}
type Policy = keyof typeof POLICIES

const PLACES = ['folder', 's3'] as const
type Place = (typeof PLACES)[number]

interface Access {
  readonly env: Readonly<Record<string, string>>
  readonly all: string
  readonly reader: string
}

/** The same bytes by GET, whole to who may have all of them, and masked to who may not. */
export async function masking(context: PartContext): Promise<void> {
  const bench = await setUp(context)
  const access = await grantAccess(context.session)
  const state = createState(context.form.huge)
  const growth: number[] = []
  const places = PLACES.filter((place) => context.form.place === null || context.form.place === place)
  for (const place of places) growth.push(...(await comparePlace(bench, access, { place, state })))
  printBarsOf('Memory', [{ bar: 'mask.growth', values: [Math.max(...growth)] }])
}

interface Measured {
  readonly place: Place
  readonly state: State
}

/** @returns by how much the server grew while it masked. */
async function comparePlace(bench: Bench, access: Access, { place, state }: Measured): Promise<number[]> {
  const { session, form } = bench
  const start = () => bench.startStatelens({ to: place, env: access.env })
  const writer = await start()
  const stored = new Map<Policy, Stored>()
  for (const policy of ['every', 'one'] as const) {
    const query = `?piiTags=bench&redactionPolicy=${policy}`
    const key = `${place}-${policy}`
    stored.set(policy, await upload(writer.origin, key, state, { query, token: access.all }))
  }
  const way = (key: string, name: string, server: ProbedServer, policy: Policy, token: string): Way => {
    const source = { ...getSource(server, stored.get(policy) as Stored), token }
    // Masked, something is left of everything.
    const leastBytes = token === access.all ? state.sizeBytes : state.sizeBytes / 10
    return { key, name, server, transfer: () => download(source, { leastBytes }) }
  }
  const ways = await watchWays([
    way('whole', 'whole', await start(), 'every', access.all),
    way('every', 'something of every message masked', await start(), 'every', access.reader),
    way('one', 'one value masked', await start(), 'one', access.reader),
  ])
  const comparison = { session, clients: 1, sizeBytes: state.sizeBytes, rounds: form.rounds }
  // Code is compiled while it runs, and memory is taken once.
  await compareWays(ways, { ...comparison, rounds: 1 })
  const figures = await compareWays(await watchWays(ways), comparison)
  headWays(place === 's3' ? 'Out of S3 by GET' : 'Out of a folder by GET', comparison)
  printWays(figures, 'whole')
  printBarsOf(
    'Bars',
    (['every', 'one'] as const).map((key) => ({
      bar: `mask.${place}.${key}`,
      values: cpuRatio(figures, 'whole', key),
    })),
  )
  return [...figures].filter(([{ key }]) => key !== 'whole').flatMap(([, { growth }]: [Way, Figures]) => growth)
}

async function grantAccess(session: Session): Promise<Access> {
  const folder = await session.folder()
  const all = createToken('all', SCOPES)
  const reader = createToken('reader', ['read'])
  const [tokens, policies] = [join(folder, 'tokens'), join(folder, 'policies.json')]
  await writeFile(tokens, [all, reader].map(({ entry }) => `${formatTokenEntry(entry)}\n`).join(''), { mode: 0o600 })
  await writeFile(policies, JSON.stringify(POLICIES))
  return {
    env: { AUTH_MODE: 'token', AUTH_TOKENS_FILE: tokens, REDACTION_POLICIES_FILE: policies },
    all: all.token,
    reader: reader.token,
  }
}
