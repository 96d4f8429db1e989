import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '../../db/connect.ts'
import { noteMultipart, renewObject } from '../../db/queries/objects.ts'
import { AppError } from '../../errors.ts'

/** How long there may be no sign of life of an object that was begun, before sweepers take it for abandoned. */
export const GRACE_SECONDS = 3600

const RENEW_SECONDS = 180
/** A renewal that failed is tried again after so much of the usual time. */
const RETRY_SHARE = 0.1

export interface LeaseOptions {
  readonly db: Database
  /** Of an object that was begun. */
  readonly storageUri: string
  /** A sign of life; that of the object alone when left out. False when a sweeper has it. */
  readonly renew?: () => Promise<boolean>
  /** Seconds between signs of life; default three minutes. */
  readonly renewSeconds?: number
  /** Seconds after which the object is lost when none got through; default the sweepers' grace. */
  readonly graceSeconds?: number
  readonly signal?: AbortSignal
}

/**
 * Works on an object for as long as it takes, and tells sweepers meanwhile that somebody does. The work gets a signal that fires with
 * the caller's, and as soon as the object is lost: a sweeper has it, or no sign of life got through for the whole grace.
 * @throws what the work throws; the reason of its signal is then the caller's, or AppError `STORAGE_UNAVAILABLE`.
 */
export async function withLease<T>(options: LeaseOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { signal } = options
  const lost = new AbortController()
  const ended = new AbortController()
  void renew(options, ended.signal).then((isLost) => {
    if (isLost) lost.abort(outOfTime())
  })
  try {
    return await work(signal === undefined ? lost.signal : AbortSignal.any([signal, lost.signal]))
  } finally {
    ended.abort()
  }
}

/** Notes the upload in parts that is to become an object. It throws when a sweeper has the object. */
export function createMultipartNote(db: Database, storageUri: string): (multipartId: string) => Promise<void> {
  return async (multipartId) => {
    if (!(await noteMultipart(db, storageUri, multipartId))) throw outOfTime()
  }
}

export function outOfTime(): AppError {
  return new AppError('STORAGE_UNAVAILABLE', 'The payload could not be stored in time')
}

/** @returns true as soon as the object is lost, false when the work has ended before. */
async function renew(options: LeaseOptions, ended: AbortSignal): Promise<boolean> {
  const { db, storageUri, renewSeconds = RENEW_SECONDS, graceSeconds = GRACE_SECONDS } = options
  const giveSign = options.renew ?? (() => renewObject(db, storageUri))
  let aliveAt = performance.now()
  let waitSeconds = renewSeconds
  while (await passed(waitSeconds, ended)) {
    const askedAt = performance.now()
    const isOurs = await giveSign().catch(() => null)
    if (ended.aborted) return false
    if (isOurs === false || (isOurs === null && askedAt - aliveAt >= graceSeconds * 1000)) return true
    if (isOurs) aliveAt = askedAt
    waitSeconds = isOurs ? renewSeconds : renewSeconds * RETRY_SHARE
  }
  return false
}

/** @returns false when the work ended first. */
async function passed(seconds: number, ended: AbortSignal): Promise<boolean> {
  return await delay(seconds * 1000, true, { signal: ended, ref: false }).catch(() => false)
}
