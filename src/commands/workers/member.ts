import cluster, { type Worker } from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import type { Snapshot } from '../../metrics/metrics.ts'
import { createCalls, type Wire } from './calls.ts'
import type { Account } from './ledger.ts'
import type { Briefing, PrimaryCalls, WorkerCalls } from './messages.ts'

/** One worker, as the primary sees it. */
export interface Member {
  readonly slot: number
  /** `leaving`: it was told to end. */
  readonly state: 'starting' | 'ready' | 'leaving'
  readonly wasReady: boolean
  readonly isOnDuty: boolean
  /** By `performance.now()`. */
  readonly hiredAt: number
  /** Whether it became ready, once that is known. */
  readonly settled: Promise<boolean>
  setDuty(duty: 'on' | 'off'): void
  /** Resolves when all that the other workers know is known to it as well. */
  noteWrite: (mark: Parameters<WorkerCalls['noteWrite']>[0]) => Promise<void>
  /** Undefined where it does not answer in time. */
  collectMetrics: () => Promise<Snapshot | undefined>
  /** Have it end; it is killed when its time is over. Both resolve when it has. */
  drain(listenOnMillis: number, limitMillis: number): Promise<void>
  retire(listenOnMillis: number, limitMillis: number): Promise<void>
}

export interface HireOptions {
  readonly briefing: Briefing
  readonly account: Account
  /** Those that there are beside it. */
  readonly others: () => readonly Member[]
  readonly onReady: (publicUrl: string) => void
  readonly onFailed: (message: string) => void
  readonly onLeaving: () => void
  readonly onExit: (code: number | null, signal: string | null) => void
}

const COLLECT_MILLIS = 2000

/** Starts a worker. */
export function hire({ briefing, account, others, ...told }: HireOptions): Member {
  const worker = cluster.fork()
  const exited = Promise.withResolvers<void>()
  const settled = Promise.withResolvers<boolean>()
  const member = {
    slot: briefing.slot,
    state: 'starting' as Member['state'],
    wasReady: false,
    isOnDuty: briefing.isOnDuty,
    hiredAt: performance.now(),
    settled: settled.promise,
  }
  const ours: PrimaryCalls = {
    ...account,
    ready(publicUrl) {
      if (member.state === 'starting') member.state = 'ready'
      member.wasReady = true
      settled.resolve(true)
      told.onReady(publicUrl)
    },
    failed: told.onFailed,
    leaving: told.onLeaving,
    async noteWrite(mark) {
      await Promise.all(others().map((other) => other.noteWrite(mark)))
    },
    async gatherMetrics() {
      const told = await Promise.all([collectMetrics(), ...others().map((other) => other.collectMetrics())])
      return told.filter((snapshot) => snapshot !== undefined)
    },
  }
  const calls = createCalls<WorkerCalls>(wireOf(worker), ours)
  void calls.tell('brief', briefing)

  /** A worker that hangs keeps nobody from reading what the others have. */
  async function collectMetrics(): Promise<Snapshot | undefined> {
    if (member.state === 'starting') return undefined
    const late = delay(COLLECT_MILLIS, undefined, { ref: false })
    return await Promise.race([calls.ask('collectMetrics').catch(() => undefined), late])
  }

  worker.once('exit', (code, signal) => {
    account.close()
    calls.close()
    settled.resolve(false)
    told.onExit(code, signal)
    exited.resolve()
  })

  async function end(how: 'drain' | 'retire', listenOnMillis: number, limitMillis: number): Promise<void> {
    const isStarting = member.state === 'starting'
    member.state = 'leaving'
    // It serves nobody yet.
    if (isStarting) worker.process.kill('SIGKILL')
    else void calls.tell(how, listenOnMillis)
    const timer = setTimeout(() => worker.process.kill('SIGKILL'), limitMillis)
    await exited.promise
    clearTimeout(timer)
  }

  return Object.assign(member, {
    setDuty(duty: 'on' | 'off') {
      member.isOnDuty = duty === 'on'
      void calls.tell('setDuty', duty)
    },
    noteWrite: (mark: Parameters<WorkerCalls['noteWrite']>[0]) => calls.ask('noteWrite', mark).catch(() => {}),
    collectMetrics,
    drain: (listenOnMillis: number, limitMillis: number) => end('drain', listenOnMillis, limitMillis),
    retire: (listenOnMillis: number, limitMillis: number) => end('retire', listenOnMillis, limitMillis),
  })
}

function wireOf(worker: Worker): Wire {
  return {
    send: (message) => new Promise((resolve) => worker.send(message, () => resolve())),
    onMessage: (listener) => void worker.on('message', listener),
  }
}
