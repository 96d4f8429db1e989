import { readdir, readFile } from 'node:fs/promises'
import { freshDatabase } from './database.ts'
import { type RunningProcess, startProcess } from './process.ts'
import { type GraphqlAnswer, graphqlAt } from './server.ts'
import { temporaryFolder } from './tmp.ts'

export interface WorkersServer extends AsyncDisposable {
  readonly url: string
  readonly process: RunningProcess
  readonly databaseUrl: string
  graphql<Data = Record<string, unknown>>(query: string, variables?: object): Promise<GraphqlAnswer<Data>>
  /** Of the workers that there are now. */
  pids(): Promise<readonly number[]>
  /** Lines of the log, parsed. */
  lines(): readonly LogLine[]
}

export interface LogLine {
  readonly msg: string
  readonly worker?: number
  readonly request?: string
  readonly [name: string]: unknown
}

/** `serve` in processes of its own, on a store of its own. */
export async function startWorkers(env: Readonly<Record<string, string>> = {}): Promise<WorkersServer> {
  await using cleanup = new AsyncDisposableStack()
  const database = cleanup.use(await freshDatabase())
  const folder = cleanup.use(await temporaryFolder())
  const settings = { PORT: '0', WORKERS: '2', DATABASE_URL: database.url, DATA_DIR: folder.path, ...env }
  const server = cleanup.use(startProcess({ args: ['serve'], env: settings }))
  // Three processes start at once: on a busy machine that takes its time.
  const url = await server.waitForUrl().catch(() => server.waitForUrl())
  const owned = cleanup.move()
  return {
    url,
    process: server,
    databaseUrl: database.url,
    graphql: graphqlAt(url),
    pids: () => childrenOf(server.pid),
    lines: () =>
      server
        .stdout()
        .split('\n')
        .filter(isWhole)
        .map((line) => JSON.parse(line)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const isWhole = (line: string) => line.endsWith('}')

/** Pids of the processes that it has started. Linux alone can tell. */
export async function childrenOf(pid: number): Promise<readonly number[]> {
  const threads = await readdir(`/proc/${pid}/task`)
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  )
  return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number))
}
