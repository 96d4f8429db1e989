import type { AppOptions } from '../../src/app.ts'
import { type Service, startService } from '../../src/commands/serve.ts'
import { readConfig } from '../../src/config.ts'
import { createLogger } from '../../src/log.ts'
import { freshDatabase } from './database.ts'
import { temporaryFolder } from './tmp.ts'

export interface TestServer extends AsyncDisposable {
  readonly url: string
  /** Where it listens, whatever its links say. */
  readonly port: number
  readonly app: Service
  readonly databaseUrl: string
  /** Root of its `file://`. */
  readonly storagePath: string
  /** Text of every SQL statement so far. Empty it before what is to be counted. */
  readonly statements: string[]
  /** The same of those that went to the standby. */
  readonly standbyStatements: string[]
  /** POSTs one operation; the answer parsed, with its status. */
  graphql<Data = Record<string, unknown>>(query: string, variables?: object): Promise<GraphqlAnswer<Data>>
}

export interface GraphqlAnswer<Data> {
  readonly status: number
  readonly data: Data
  readonly errors?: readonly {
    readonly message: string
    readonly path?: readonly (string | number)[]
    readonly extensions: { readonly code: string; readonly retryable?: boolean; readonly [name: string]: unknown }
  }[]
}

export interface TestServerOptions {
  /** Settings as in the environment, over a fresh database, a temporary folder and a free port. */
  readonly env?: Readonly<Record<string, string>>
  /** Keeps the store of an earlier server: its restart. */
  readonly store?: { readonly databaseUrl: string; readonly storagePath: string }
  readonly admission?: AppOptions['admission']
  readonly streams?: AppOptions['streams']
  readonly retention?: AppOptions['retention']
  readonly now?: AppOptions['now']
  readonly partsWaitMillis?: AppOptions['partsWaitMillis']
  readonly passLimits?: AppOptions['passLimits']
  readonly recheckMillis?: AppOptions['recheckMillis']
  readonly authorize?: AppOptions['authorize']
  /** Nothing is logged when it is left out. */
  readonly log?: AppOptions['log']
}

/** The whole server in this process, as `serve` builds it, on a store of its own. */
export async function startServer({
  env = {},
  store,
  admission,
  streams,
  retention,
  now,
  partsWaitMillis,
  passLimits,
  recheckMillis,
  authorize,
  log = createLogger({ level: 'silent' }),
}: TestServerOptions = {}): Promise<TestServer> {
  await using cleanup = new AsyncDisposableStack()
  const database = store ? undefined : cleanup.use(await freshDatabase())
  const folder = store ? undefined : cleanup.use(await temporaryFolder())
  const databaseUrl = store?.databaseUrl ?? database?.url ?? ''
  const storagePath = store?.storagePath ?? `${folder?.path}/snapshots`
  const statements: string[] = []
  const standbyStatements: string[] = []
  const settings = { PORT: '0', DATABASE_URL: databaseUrl, SNAPSHOT_STORAGE_PATH: storagePath, ...env }
  const app = await startService({
    config: { ...readConfig(settings), databaseUrl },
    log,
    onStatement: (text) => statements.push(text),
    onStandbyStatement: (text) => standbyStatements.push(text),
    admission,
    streams,
    retention,
    now,
    partsWaitMillis,
    passLimits,
    recheckMillis,
    authorize,
  })
  cleanup.defer(() => app.close())
  const owned = cleanup.move()
  return {
    url: app.publicUrl,
    port: app.port,
    app,
    databaseUrl,
    storagePath,
    statements,
    standbyStatements,
    graphql: graphqlAt(app.publicUrl),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** How to ask a server that listens there, with a token or without. */
export function graphqlAt(origin: string, token?: string): TestServer['graphql'] {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return (query, variables) => post(`${origin}/graphql`, { query, variables }, headers)
}

async function post<Data>(url: string, body: object, headers: object): Promise<GraphqlAnswer<Data>> {
  const response = await fetch(url, {
    method: 'POST',
    // The type whose status tells whether anything ran.
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json', ...headers },
    body: JSON.stringify(body),
  })
  const { data, errors } = (await response.json()) as { data: Data; errors?: GraphqlAnswer<Data>['errors'] }
  return { status: response.status, data, errors }
}
