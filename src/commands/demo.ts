import { rmSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Config, readConfig } from '../config.ts'
import { releaseAbandoned, startEmbeddedPostgres } from '../db/embedded/embedded.ts'
import { migrate } from '../db/migrate.ts'
import type { Logger } from '../log.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import { type DemoRun, type DemoStep, demoRuns } from './demo-data.ts'
import { playLive } from './demo-live.ts'
import { demoState } from './demo-state.ts'
import { revivalIn } from './open-database.ts'
import { type Service, startService } from './serve.ts'

const PREFIX = 'statelens-demo-'

export interface DemoOptions {
  readonly env: NodeJS.ProcessEnv
  readonly log: Logger
  readonly print: (line: string) => void
  /** Resolves when the user wants the demo to end. */
  readonly stopping: Promise<unknown>
}

/** `serve` on a store of its own in a temporary folder, filled first; the folder goes when the demo ends. */
export async function runDemo({ env, log, print, stopping }: DemoOptions): Promise<void> {
  const { PORT, HOST, AUTH_MODE, PUBLIC_URL } = env
  // It asks nobody who they are, whatever a server of this folder does.
  const said = AUTH_MODE === 'none' ? AUTH_MODE : undefined
  const { port, host, publicUrl } = readConfig({ PORT, HOST, AUTH_MODE: said, PUBLIC_URL })
  const stopped = new AbortController()
  stopping.then(() => stopped.abort())
  await sweepOldDemos()
  const dataDir = await mkdtemp(join(tmpdir(), PREFIX))
  // Where nobody waits for the end, as at a second Ctrl-C.
  const leave = () => rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  process.once('exit', leave)
  try {
    print('Starting an embedded PostgreSQL ...')
    const postgres = await startEmbeddedPostgres({ dataDir, revival: revivalIn(log) })
    try {
      await migrate(postgres.url)
      const service = await listen({
        port,
        host,
        publicUrl,
        isPortAsked: PORT !== undefined,
        databaseUrl: postgres.url,
        dataDir,
        log,
      })
      try {
        await fillDemo(service.writer, { print, signal: stopped.signal })
        if (!stopped.signal.aborted) print(welcome(service.publicUrl))
        const playing = playLive(service.writer, stopped.signal).catch((error) =>
          log.error({ err: error }, 'play failed'),
        )
        if (port !== 0 && service.port !== port) {
          print(
            `It listens on port ${service.port}: another program has ${port}. Use ${service.port} in the commands of the README.`,
          )
        }
        await stopping
        await playing
      } finally {
        await service.close()
      }
    } finally {
      await postgres.stop()
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true })
    process.off('exit', leave)
    print('The demo and its data are gone.')
  }
}

/** Removes what demos left that were killed. Never rejects. */
async function sweepOldDemos(): Promise<void> {
  const names = await readdir(tmpdir()).catch(() => [])
  for (const name of names.filter((found) => found.startsWith(PREFIX))) {
    const dataDir = join(tmpdir(), name)
    if (await releaseAbandoned(dataDir)) await rm(dataDir, { recursive: true, force: true }).catch(() => {})
  }
}

interface DemoServer {
  readonly port: number
  readonly host: string
  readonly publicUrl: string | undefined
  /** Then no other port will do. */
  readonly isPortAsked: boolean
  readonly databaseUrl: string
  readonly dataDir: string
  readonly log: Logger
}

/** On the usual port, or on a free one when that is taken and nobody asked for it. */
async function listen({ port, host, publicUrl, isPortAsked, databaseUrl, dataDir, log }: DemoServer): Promise<Service> {
  const signedUrlSecrets = ['a demo has nothing that is worth a secret']
  const defaults = readConfig({ DATA_DIR: dataDir })
  const config: Config & { databaseUrl: string } = { ...defaults, port, host, publicUrl, databaseUrl, signedUrlSecrets }
  try {
    return await startService({ config, log })
  } catch (error) {
    const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    if (!taken || isPortAsked) throw error
    return await startService({ config: { ...config, port: 0 }, log })
  }
}

export interface FillOptions {
  readonly print: (line: string) => void
  readonly signal: AbortSignal
}

/** Records the runs of the demo. */
export async function fillDemo(writer: SnapshotWriter, { print, signal }: FillOptions): Promise<void> {
  const runs = demoRuns(Date.now())
  const total = runs.reduce((sum, { steps }) => sum + steps.length, 0)
  let done = 0
  for (const run of runs) {
    const { steps, topic: _topic, plan: _plan, notedFrom: _notedFrom, ...change } = run
    await writer.upsertRun(change)
    for (const [index, step] of steps.entries()) {
      const { states, ...about } = step
      if (signal.aborted) return
      await writer.upsertStep({ runId: run.runId, index, ...about })
      const bytes = await captureStates(writer, run, index)
      done++
      print(`[${String(done).padStart(2)}/${total}] ${run.runId} / ${step.stepId}: ${formatBytes(bytes)}`)
    }
  }
}

/** @returns the size of the last state of the step. */
async function captureStates(writer: SnapshotWriter, run: DemoRun, index: number): Promise<number> {
  const { stepId, status, states } = run.steps[index] as DemoStep
  const isFailed = status === 'FAILED'
  let size = 0
  for (const [edition, { kind, sizeBytes }] of states.entries()) {
    const note = run.notedFrom !== undefined && index >= run.notedFrom ? 'the limit was raised' : undefined
    const { topic, plan } = run
    const state = demoState({ topic, plan, done: index + 1, sizeBytes, edition, note })
    const about = { runId: run.runId, stepId, kind, isSuccessState: !isFailed, replaySafe: !isFailed }
    await writer.capture(about, state)
    size = state.length
  }
  return size
}

function formatBytes(bytes: number): string {
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} KB` : `${(bytes / 1_000_000).toFixed(1)} MB`
}

function welcome(publicUrl: string): string {
  return `
statelens is ready.

  The explorer             ${publicUrl}/explorer/
  GraphiQL in a browser    ${publicUrl}/graphql
  GraphQL for programs     ${publicUrl}/graphql (POST)

A state of more than 20 MB, out of object storage, byte for byte:

  curl -s ${publicUrl}/graphql -H 'content-type: application/json' -d '{"query":
    "{ snapshot(runId: \\"nightly-digest-0412\\", stepId: \\"embed\\") { sizeBytes digest storageTier payload } }"}' -o state.json

Or paste into GraphiQL:

  { run(runId: "nightly-digest-0412") { status stats { snapshotCount totalBytes }
      steps(first: 20) { edges { node { stepId snapshot { sizeBytes storageTier preview signedUrl } } } } } }

Ctrl-C ends it and removes what it made.`
}
