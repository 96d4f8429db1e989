import { join } from 'node:path'
import type { Answering } from './answers.ts'
import type { PartContext } from './parts.ts'
import { type ServerProcess, startServer } from './processes.ts'
import type { Store } from './shared.ts'

export type SmallServer = ServerProcess & Answering

interface Candidate {
  readonly name: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly dialect?: Answering['dialect']
  readonly keepsBytes: boolean
}

const peer = (file: string) => [join(import.meta.dirname, '..', 'peers', file)]

/** The first is what ratios are told against. */
const CANDIDATES: readonly Candidate[] = [
  { name: 'PostGraphile', args: peer('postgraphile.ts'), dialect: 'postgraphile', keepsBytes: false },
  { name: 'Mercurius', args: peer('mercurius.ts'), keepsBytes: false },
  { name: 'Apollo Server', args: peer('apollo.ts'), keepsBytes: false },
  { name: 'Yoga, naturally', args: peer('natural-yoga.ts'), keepsBytes: true },
  { name: 'statelens', args: ['src/main.ts', 'serve'], keepsBytes: true },
  { name: 'hand-written, text', args: peer('hand-written.ts'), env: { VARIANT: 'text' }, keepsBytes: true },
  { name: 'hand-written, Buffers', args: peer('hand-written.ts'), env: { VARIANT: 'buffers' }, keepsBytes: true },
]

export const BASELINE = 'PostGraphile'
export const OURS = 'statelens'
export const PEERS: readonly string[] = ['PostGraphile', 'Mercurius', 'Apollo Server', 'Yoga, naturally']
export const LIMITS: readonly string[] = ['hand-written, text', 'hand-written, Buffers']

/** Starts them all, each on its own port; they stay up together, so that rounds can go from one to the next. */
export async function startSmallServers(
  { session, pin }: Pick<PartContext, 'session' | 'pin'>,
  store: Store['env'],
): Promise<SmallServer[]> {
  const servers: SmallServer[] = []
  for (const { dialect = 'statelens', keepsBytes, env, ...options } of CANDIDATES) {
    // All but the database's URL are statelens' own; nothing else of it is set: limits, masks and the log are as they are shipped.
    const settings = { ...store, PORT: '0', DATA_DIR: await session.folder(), ...env }
    servers.push({ ...(await startServer(session, pin, { ...options, env: settings })), dialect, keepsBytes })
  }
  return servers
}
