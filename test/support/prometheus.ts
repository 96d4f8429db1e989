import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from './broker/host.ts'
import type { Program } from './services.ts'
import { temporaryFolder } from './tmp.ts'

export interface Prometheus extends AsyncDisposable {
  /** The samples that an expression gives now. @throws Error for one that is none. */
  query(expression: string): Promise<readonly Sample[]>
  /** What it says of the servers that it asks. */
  targets(): Promise<readonly { readonly health: string; readonly lastError: string }[]>
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  /** The time, and the value as text. */
  readonly value: readonly [number, string]
}

export interface PrometheusOptions {
  /** `host:port` of the servers that it asks, four times a second. */
  readonly targets: readonly string[]
  /** What it shows them as its token. */
  readonly token?: string
}

/** A Prometheus on loopback, with a folder of its own. */
export async function startPrometheus({ path }: Program, options: PrometheusOptions): Promise<Prometheus> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder())
  const port = await freePort()
  const config = join(folder.path, 'prometheus.yml')
  await writeFile(config, configOf(options))
  const child = spawn(
    path,
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder.path, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  cleanup.defer(() => kill(child))
  const origin = `http://127.0.0.1:${port}`
  while (!(await answers(`${origin}/-/ready`))) {
    if (child.exitCode !== null) throw new Error(`Prometheus ended: ${log}`)
    await delay(20)
  }
  const owned = cleanup.move()
  return {
    async query(expression) {
      const { data } = await ask<{ data: { result: readonly Sample[] } }>(
        `${origin}/api/v1/query?query=${encodeURIComponent(expression)}`,
      )
      return data.result
    },
    async targets() {
      const { data } = await ask<{ data: { activeTargets: readonly { health: string; lastError: string }[] } }>(
        `${origin}/api/v1/targets`,
      )
      return data.activeTargets
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** What `promtool` says to that. @throws Error with it where it finds something wrong. */
export async function promtool({ path }: Program, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(join(dirname(path), 'promtool'), [...args])
  return stdout
}

function configOf({ targets, token }: PrometheusOptions): string {
  return JSON.stringify({
    global: { scrape_interval: '250ms', scrape_timeout: '250ms' },
    scrape_configs: [
      {
        job_name: 'statelens',
        ...(token === undefined ? {} : { authorization: { credentials: token } }),
        static_configs: [{ targets }],
      },
    ],
  })
}

async function ask<Answer>(url: string): Promise<Answer> {
  const response = await fetch(url)
  const text = await response.text()
  if (!response.ok) throw new Error(text)
  return JSON.parse(text)
}

function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    async (response) => {
      await response.body?.cancel()
      return response.ok
    },
    () => false,
  )
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
