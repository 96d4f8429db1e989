import type { Duplex } from 'node:stream'
import { createApp } from '../app.ts'
import type { Authenticate } from '../auth/authenticate.ts'
import { scopesOf } from '../auth/scopes.ts'
import { ANYONE, STRANGER, type Viewer } from '../auth/viewer.ts'
import { openDatabase, requireMigrated, revivalIn } from '../commands/open-database.ts'
import { readConfig } from '../config.ts'
import { migrate } from '../db/migrate.ts'
import { createLogger } from '../log.ts'
import { hostInUrl } from '../server/hosts.ts'
import type { GraphqlAnswer, GraphqlRequest, LibraryViewer, Statelens, StatelensConfig } from './api.ts'
import { createInProcess } from './fetch.ts'
import { createLibraryReader } from './reader.ts'
import { createLibraryWriter } from './writer.ts'

export type { Scope } from '../auth/scopes.ts'
export type { CallOptions, CaptureRequest, CaptureResult, Payload, RunChange, StepChange } from '../client/client.ts'
export type { RunFilter } from '../model/run.ts'
export type { SnapshotFilter } from '../model/snapshot.ts'
export type {
  GraphqlAnswer,
  GraphqlRequest,
  LibraryViewer,
  OpenState,
  ReadOptions,
  RunRecord,
  SnapshotRecord,
  Statelens,
  StatelensConfig,
  StatelensReader,
  StatelensWriter,
  StepRecord,
} from './api.ts'

/**
 * @throws an error with `problems`, a line for each setting that is wrong; one that says what to do where the database has not this
 * version's tables; errors with a `code` where it cannot be reached.
 */
export async function createStatelens(options: StatelensConfig = {}): Promise<Statelens> {
  const { settings = {}, identify, authorize } = options
  const config = readConfig({ LOG_LEVEL: 'warn', LOG_REQUESTS: 'false', ...textsOf(settings) })
  const log = createLogger({ level: config.logLevel, output: options.log })
  const database = await openDatabase(config, revivalIn(log))
  try {
    if (options.migrate === true && config.databaseUrl !== undefined) await migrate(database.url)
    await requireMigrated(database.url)
    /** Who asks by a connection of this process. */
    const askers = new WeakMap<object, Viewer>()
    const app = createApp({
      config: { ...config, databaseUrl: database.url },
      log,
      publicUrl: () => config.publicUrl ?? `http://${hostInUrl(config.host)}:${config.port}`,
      authorize,
      identify: (bySettings) => createIdentify(askers, identify ? identifyBy(identify) : bySettings),
    })
    const inside = createInProcess(app.handler)
    const readerFor = (viewer: Viewer) => createLibraryReader({ ...app, viewer })
    return {
      handler: app.handler,
      upgrade: app.onUpgrade,
      fetch: (request) => inside.fetch(request),
      async graphql<Data>({ viewer, signal, ...asked }: GraphqlRequest): Promise<GraphqlAnswer<Data>> {
        const asker = viewer ? toViewer(viewer) : ANYONE
        const remember = (connection: Duplex) => void askers.set(connection, asker)
        const response = await inside.fetch(requestOf(asked, signal), remember)
        return (await response.json()) as GraphqlAnswer<Data>
      },
      writer: createLibraryWriter(app.writer),
      reader: readerFor(ANYONE),
      readerFor: (viewer) => readerFor(toViewer(viewer)),
      async close() {
        app.drain()
        inside.close()
        await app.close()
        await database.stop()
      },
    }
  } catch (error) {
    await database.stop()
    throw error
  }
}

function textsOf(settings: NonNullable<StatelensConfig['settings']>): Record<string, string> {
  const set = Object.entries(settings).filter(([, value]) => value !== undefined)
  return Object.fromEntries(set.map(([name, value]) => [name, String(value)]))
}

function requestOf(asked: Omit<GraphqlRequest, 'viewer' | 'signal'>, signal: AbortSignal | undefined): Request {
  return new Request('http://localhost/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json, application/json' },
    body: JSON.stringify(asked),
    signal: signal ?? null,
  })
}

function createIdentify(askers: WeakMap<object, Viewer>, others: Authenticate | undefined): Authenticate {
  return (shown) => askers.get(shown.request.socket) ?? (others ? others(shown) : ANYONE)
}

function identifyBy(identify: NonNullable<StatelensConfig['identify']>): Authenticate {
  return async ({ request: { headers } }) => {
    const found = await identify({ headers })
    return found ? toViewer(found) : STRANGER
  }
}

function toViewer({ name, scopes }: LibraryViewer): Viewer {
  return { name, scopes: scopesOf(scopes), mode: 'token' }
}
