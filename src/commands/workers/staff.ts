import type { Config } from '../../config.ts'
import type { Logger } from '../../log.ts'
import { StartError } from '../start-error.ts'
import { createLedger } from './ledger.ts'
import { hire, type Member } from './member.ts'
import type { Briefing } from './messages.ts'

export interface StaffOptions {
  readonly config: Config
  readonly log: Logger
  readonly briefing: Pick<Briefing, 'databaseUrl' | 'signedUrlSecrets'>
}

/** The workers of a server. */
export interface Staff {
  /** Resolves with the base of the server's links when all of them listen. @throws StartError where they cannot. */
  start(): Promise<string>
  /** Never resolves. @throws StartError when they cannot go on. */
  readonly failure: Promise<never>
  /** Replaces one after the other: each new one listens before the old one is told to end. A restart that is under way is enough. */
  restart(): Promise<void>
  /** Resolves when none is left: they are cut after as long as a server may take to stop. */
  stop(listenOnMillis: number): Promise<void>
}

/** One that lived so long may be replaced at once. */
const STEADY_MILLIS = 10_000
const BACK_OFF_MILLIS = 100
const BACK_OFF_MAX_MILLIS = 10_000
/** So many that ended before they were ready, and none that is, are enough. */
const FAILED_STARTS_MAX = 5
/** What a server may take to stop, without what it listens on beyond five seconds. */
const STOP_MILLIS = 24_500
const LISTEN_ON_MILLIS = 5000
/** Whoever ends all processes of a group tells the primary as well. */
const LEAVE_MILLIS = 200

export function createStaff({ config, log, briefing }: StaffOptions): Staff {
  const { workers } = config
  const ledger = createLedger(config)
  const members = new Set<Member>()
  const started = Promise.withResolvers<string>()
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {})
  const quickEnds = new Map<number, number>()
  let failedStarts = 0
  let isStarted = false
  let isStopping = false
  let restarting: Promise<void> = Promise.resolve()
  let isRestarting = false

  const ready = () => [...members].filter(({ state }) => state === 'ready')
  const fail = (message: string) => failed.reject(new StartError(message))

  function start(slot: number): Member {
    const isOnDuty = ![...members].some((member) => member.isOnDuty)
    const member = hire({
      briefing: { ...briefing, slot, workers, isOnDuty },
      account: ledger.open(),
      others: () => [...members].filter((other) => other !== member),
      onReady(url) {
        failedStarts = 0
        if (!isStarted && ready().length === workers) {
          isStarted = true
          started.resolve(url)
        }
      },
      onFailed(message) {
        if (member.state === 'ready' || !isStarted) fail(message)
        else log.error({ worker: slot, why: message }, 'a worker could not start')
      },
      onLeaving: () => void setTimeout(() => replaceLater(member), LEAVE_MILLIS).unref(),
      onExit: (code, signal) => leave(member, { code, signal }),
    })
    members.add(member)
    return member
  }

  function leave(member: Member, end: { readonly code: number | null; readonly signal: string | null }): void {
    members.delete(member)
    if (member.isOnDuty) ready()[0]?.setDuty('on')
    if (isStopping || member.state === 'leaving') return
    const { slot } = member
    log.error({ worker: slot, ...end }, 'a worker ended: another one takes its place')
    if (!member.wasReady) failedStarts++
    if (failedStarts >= FAILED_STARTS_MAX && ready().length === 0) {
      fail('The workers end before they are ready: what they logged says why')
      return
    }
    // While it is replaced there is one already.
    if ([...members].some((other) => other.slot === slot)) return
    const isSteady = member.wasReady && performance.now() - member.hiredAt >= STEADY_MILLIS
    const ends = isSteady ? 0 : (quickEnds.get(slot) ?? -1) + 1
    quickEnds.set(slot, ends)
    const millis = ends === 0 ? 0 : Math.min(BACK_OFF_MILLIS * 2 ** ends, BACK_OFF_MAX_MILLIS)
    setTimeout(() => {
      if (!isStopping) start(slot)
    }, millis)
  }

  /** @returns whether the new one is ready. */
  async function replace(old: Member): Promise<boolean> {
    if (isStopping || !members.has(old) || old.state !== 'ready') return true
    const next = start(old.slot)
    if (!(await next.settled)) return false
    if (old.isOnDuty) {
      old.setDuty('off')
      next.setDuty('on')
    }
    log.info({ worker: old.slot }, 'a worker was replaced')
    await old.retire(config.drainDelaySeconds * 1000, limitOf(config.drainDelaySeconds * 1000))
    return true
  }

  function replaceLater(member: Member): void {
    restarting = restarting.then(async () => void (await replace(member)))
  }

  async function replaceAll(): Promise<void> {
    for (const old of ready()) {
      if (await replace(old)) continue
      log.error(
        { worker: old.slot },
        'the restart was given up: a new worker was not ready, and those that there are go on',
      )
      return
    }
    log.info({ workers }, 'restarted')
  }

  return {
    failure: failed.promise,
    async start() {
      for (let slot = 0; slot < workers; slot++) start(slot)
      return await Promise.race([started.promise, failed.promise])
    },
    async restart() {
      if (isRestarting) return
      isRestarting = true
      restarting = restarting.then(replaceAll).finally(() => {
        isRestarting = false
      })
      await restarting
    },
    async stop(listenOnMillis) {
      isStopping = true
      await Promise.all([...members].map((member) => member.drain(listenOnMillis, limitOf(listenOnMillis))))
    },
  }
}

function limitOf(listenOnMillis: number): number {
  return STOP_MILLIS + Math.max(0, listenOnMillis - LISTEN_ON_MILLIS)
}
