import { HeadBucketCommand, type S3Client } from '@aws-sdk/client-s3'
import { unlessAborted } from '../../abort.ts'
import { AppError } from '../../errors.ts'
import { withDeadline } from '../deadline.ts'
import { createPatience, type Patience } from '../patience.ts'
import { httpStatus } from './errors.ts'

/** Of the deadline for small requests: silence until the store is asked whether it lives, and what it then has to answer. */
const SILENCE_SHARE = 0.6
const ANSWER_SHARE = 0.3

export interface AliveRequest {
  /** Milliseconds that the store may take in all, silent or not; the time in which it waits for us is not counted. */
  readonly totalMs: number
  readonly signal?: AbortSignal
}

/** To be handed to `send` of the SDK's client. */
export interface PatientOptions {
  readonly abortSignal: AbortSignal
  /** The transport's own limit is off. */
  readonly requestTimeout: 0
  /** Called by the transport for each piece of a body that is held in memory, once the socket has taken it. */
  readonly onTaken: () => void
}

/**
 * Runs one request that may take its time, for as long as the store moves on or at least lives: after each silence it is asked
 * something small on another connection. So a store that is gone is told within the deadline for small requests, whatever the
 * size of what is sent, and one that is slow is waited for.
 * @throws AppError `STORAGE_TIMEOUT` when the store is gone or its time is over; the signal's reason when the caller aborts.
 */
export type WhileAlive = <T>(
  request: AliveRequest,
  run: (options: PatientOptions, patience: Patience) => Promise<T>,
) => Promise<T>

export interface WhileAliveOptions {
  readonly control: S3Client
  readonly bucket: string
  /** Milliseconds for a small request. */
  readonly deadlineMs: number
}

export function createWhileAlive({ control, bucket, deadlineMs }: WhileAliveOptions): WhileAlive {
  const silenceMs = deadlineMs * SILENCE_SHARE
  const answerMs = deadlineMs * ANSWER_SHARE
  let asking: Promise<boolean> | undefined

  /** One question at a time, however many want to know. Any answer will do. */
  function isAlive(): Promise<boolean> {
    asking ??= withDeadline({ deadlineMs: answerMs }, (abortSignal) =>
      control.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal }),
    )
      .then(
        () => true,
        (error: unknown) => httpStatus(error) !== undefined,
      )
      .finally(() => {
        asking = undefined
      })
    return asking
  }

  return async ({ totalMs, signal }, run) => {
    signal?.throwIfAborted()
    const ended = new AbortController()
    const late = (): void =>
      ended.abort(new AppError('STORAGE_TIMEOUT', 'Object storage did not take or answer in time'))
    let taken = 0
    async function onStall(): Promise<void> {
      const before = taken
      if (!(await isAlive()) && taken === before) late()
    }
    const patience = createPatience({ totalMs, stallMs: silenceMs, onStall: () => void onStall(), onOver: late })
    const onTaken = (): void => {
      taken += 1
      patience.fed()
    }
    const abortSignal = signal ? AbortSignal.any([signal, ended.signal]) : ended.signal
    patience.wait()
    try {
      return await unlessAborted(run({ abortSignal, requestTimeout: 0, onTaken }, patience), abortSignal)
    } catch (error) {
      // A request that was answered with an error while its body was still being sent would keep its socket.
      ended.abort(error)
      throw error
    } finally {
      patience.end()
    }
  }
}
