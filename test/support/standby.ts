import { cp, mkdir, writeFile } from 'node:fs/promises'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { temporaryFolder } from './tmp.ts'

const SETTINGS = { fsync: 'off', autovacuum: 'off', shared_buffers: '16MB', max_connections: '40' }

export interface Pair extends AsyncDisposable {
  readonly primary: EmbeddedPostgres
  /** Follows the primary, which acknowledges no commit before it is here. */
  readonly standby: EmbeddedPostgres
}

/** Two servers of their own: a migrated database, and a hot standby of it, with settings of its own. */
export async function startPair(ofStandby: Readonly<Record<string, string>> = {}): Promise<Pair> {
  await using cleanup = new AsyncDisposableStack()
  const { path } = cleanup.use(await temporaryFolder())
  const [first, second] = [`${path}/first`, `${path}/second`]
  const alone = await startEmbeddedPostgres({ dataDir: first, settings: SETTINGS })
  await migrate(alone.url).finally(() => alone.stop())
  await mkdir(second)
  // What lies in a server that was stopped is a base backup.
  for (const name of ['postgres', 'postgres.password'])
    await cp(`${first}/${name}`, `${second}/${name}`, { recursive: true })
  await writeFile(`${second}/postgres/standby.signal`, '')
  const primary = await startEmbeddedPostgres({
    dataDir: first,
    settings: { ...SETTINGS, synchronous_standby_names: '*' },
  })
  cleanup.defer(() => primary.stop())
  const { port, username, password } = new URL(primary.url)
  const standby = await startEmbeddedPostgres({
    dataDir: second,
    settings: {
      ...SETTINGS,
      ...ofStandby,
      primary_conninfo: `host=127.0.0.1 port=${port} user=${username} password=${password}`,
    },
  })
  cleanup.defer(() => standby.stop())
  const owned = cleanup.move()
  return { primary, standby, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
