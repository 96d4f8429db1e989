import { unlessAborted } from '../../abort.ts'
import { AppError } from '../../errors.ts'

/** Results that nobody has heard yet; beyond so many the oldest is forgotten. */
const UNTOLD_MAX = 1000

export interface JobsOptions<T> {
  /** Milliseconds that a caller waits before it is told to ask again. */
  readonly answerMillis: number
  /** Whether this result can be had no other way, and is kept for the next caller where nobody was left to hear it. */
  keeps(result: T): boolean
}

/**
 * Work that goes on without whoever asked for it. Of those who ask for the same thing meanwhile each waits for the one job, and its
 * result is told once as new.
 */
export interface Jobs<T> {
  /**
   * Joins the job of the key, or begins it.
   * @param work gets a signal that fires when the process stops, and at no other time.
   * @returns the result, and whether it is told for the first time.
   * @throws what the job throws; AppError `STORAGE_TIMEOUT` when the job goes on and the caller is to ask again, `OVERLOADED` when the process is about to stop;
   * the reason of `signal`, which lets the caller go and leaves the job alone.
   */
  run(key: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<Told<T>>
  /** Whether a job of the key is under way, which saw the world before now. */
  has(key: string): boolean
  /** Ends every job, and waits until it has let go. */
  close(): Promise<void>
}

export interface Told<T> {
  readonly result: T
  readonly isFirst: boolean
}

interface Job<T> {
  readonly result: Promise<T>
  callers: number
  isTold: boolean
}

export function createJobs<T>({ answerMillis, keeps }: JobsOptions<T>): Jobs<T> {
  const jobs = new Map<string, Job<T>>()
  const untold = new Map<string, Told<T>>()
  const stop = new AbortController()

  function start(key: string, work: (signal: AbortSignal) => Promise<T>): Job<T> {
    const result = Promise.try(work, stop.signal).finally(() => jobs.delete(key))
    const job: Job<T> = { result, callers: 0, isTold: false }
    const listen = (value: T) => {
      if (job.callers === 0 && keeps(value)) keep(key, { result: value, isFirst: true })
    }
    result.then(listen, () => {})
    jobs.set(key, job)
    return job
  }

  function keep(key: string, told: Told<T>): void {
    untold.set(key, told)
    const [oldest] = untold.keys()
    if (untold.size > UNTOLD_MAX && oldest !== undefined) untold.delete(oldest)
  }

  return {
    async run(key, work, signal) {
      signal?.throwIfAborted()
      stop.signal.throwIfAborted()
      const kept = untold.get(key)
      untold.delete(key)
      if (kept) return kept
      const job = jobs.get(key) ?? start(key, work)
      job.callers += 1
      try {
        const result = await waitFor(job.result, { answerMillis, signal })
        const isFirst = !job.isTold
        job.isTold = true
        return { result, isFirst }
      } finally {
        job.callers -= 1
      }
    },

    has: (key) => jobs.has(key),

    async close() {
      stop.abort(new AppError('OVERLOADED', 'The server is about to stop: ask again'))
      await Promise.allSettled([...jobs.values()].map(({ result }) => result))
    },
  }
}

interface WaitOptions {
  readonly answerMillis: number
  readonly signal: AbortSignal | undefined
}

/** The job itself never feels that somebody has left. */
async function waitFor<T>(result: Promise<T>, { answerMillis, signal }: WaitOptions): Promise<T> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(stillUnderWay()), answerMillis)
  try {
    return await unlessAborted(result, signal ? AbortSignal.any([signal, late.signal]) : late.signal)
  } finally {
    clearTimeout(timer)
  }
}

function stillUnderWay(): AppError {
  return new AppError('STORAGE_TIMEOUT', 'It is still under way, and goes on: ask again')
}
