import type { Crew } from '../../app.ts'
import type { Config } from '../../config.ts'
import { createLogger } from '../../log.ts'
import type { Snapshot } from '../../metrics/metrics.ts'
import type { WriteMark } from '../../model/position.ts'
import { describeFailure } from '../describe-failure.ts'
import { createLook } from '../look.ts'
import { type Closing, startLooking, warnAboutStorage } from '../serve.ts'
import { listenForStop } from '../stopping.ts'
import { type Calls, createCalls, type Wire } from './calls.ts'
import { createLeases } from './leases.ts'
import type { Briefing, PrimaryCalls, WorkerCalls } from './messages.ts'
import { connectionsOf, shareOf } from './share.ts'

/** A worker's life. Signals are the primary's: it tells its workers what is to be done. @returns the exit code. */
export async function runWorker(settings: Config): Promise<number> {
  const primary = meetPrimary()
  const briefing = await primary.briefing
  const log = createLogger({ level: settings.logLevel, worker: briefing.slot })
  const { databaseUrl, signedUrlSecrets } = briefing
  const config = { ...shareOf(settings, briefing), databaseUrl, signedUrlSecrets }
  const unforeseen = listenForStop(log, [])
  listenToSignals(primary.calls)
  const look = createLook(databaseUrl, log)
  try {
    const crew = createCrew(primary, briefing)
    const service = await startLooking(look, {
      config,
      log,
      crew,
      connectionsMax: connectionsOf(briefing),
      gatherMetrics: () => primary.calls.ask('gatherMetrics'),
    })
    primary.heard.onCollect = service.collectMetrics
    let closing: Closing = {}
    try {
      if (briefing.isOnDuty) warnAboutStorage(service, log)
      await primary.calls.tell('ready', service.publicUrl)
      closing = await Promise.race([primary.ending, unforeseen.then(() => ({})), look.refusal])
    } finally {
      look.end()
      await service.close(closing)
    }
    return 0
  } catch (error) {
    await primary.calls.tell('failed', describeFailure(error))
    return 1
  } finally {
    process.channel?.unref()
  }
}

interface Primary {
  readonly calls: Calls<PrimaryCalls>
  readonly briefing: Promise<Briefing>
  /** Resolves when this process is to end. */
  readonly ending: Promise<Closing>
  /** To be replaced by whoever is to know. */
  readonly heard: {
    onDuty(duty: 'on' | 'off'): void
    onWrite(mark: WriteMark): void
    onCollect(): Promise<Snapshot> | Snapshot
  }
}

function meetPrimary(): Primary {
  const briefing = Promise.withResolvers<Briefing>()
  const ending = Promise.withResolvers<Closing>()
  const heard: Primary['heard'] = { onDuty() {}, onWrite() {}, onCollect: () => [] }
  const ours: WorkerCalls = {
    brief: briefing.resolve,
    setDuty: (duty) => heard.onDuty(duty),
    drain: (listenOnMillis) => ending.resolve({ listenOnMillis }),
    retire: (listenOnMillis) => ending.resolve({ listenOnMillis, isReplaced: true }),
    noteWrite: (mark) => heard.onWrite(mark),
    collectMetrics: () => heard.onCollect(),
  }
  return {
    calls: createCalls<PrimaryCalls>(WIRE, ours),
    briefing: briefing.promise,
    ending: ending.promise,
    heard,
  }
}

const WIRE: Wire = {
  send: (message) =>
    new Promise((resolve) => {
      if (process.connected) process.send?.(message, undefined, undefined, () => resolve())
      else resolve()
    }),
  onMessage: (listener) => void process.on('message', listener),
}

function createCrew({ calls, heard }: Primary, briefing: Briefing): Crew {
  let { isOnDuty } = briefing
  heard.onDuty = (duty) => {
    isOnDuty = duty === 'on'
  }
  return {
    isOnDuty: () => isOnDuty,
    budget: createLeases({
      take: (key) => calls.ask('takePoints', key),
      charge: (key, points) => void calls.tell('chargePoints', key, points),
    }),
    async places(viewer) {
      await calls.ask('enter', viewer)
      return () => void calls.tell('leave', viewer)
    },
    noteWrite: (mark) => calls.ask('noteWrite', mark),
    onWrite(listener) {
      heard.onWrite = listener
    },
  }
}

/** A terminal tells all of its processes; whoever ends one of them alone wants another in its place. */
function listenToSignals(calls: Calls<PrimaryCalls>): void {
  process.on('SIGTERM', () => void calls.tell('leaving'))
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
}
