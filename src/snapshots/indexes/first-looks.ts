import { setImmediate } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { unlessAborted } from '../../abort.ts'
import { AppError, Departure, isAppError } from '../../errors.ts'
import type { JsonIndex } from '../../json/parts/json-index.ts'
import type { Admission } from '../source/admission.ts'
import type { ObjectSource } from '../source/source.ts'
import type { StoredReads } from '../upkeep/stored-reads.ts'
import { type IndexSubject, nameOf } from './index-subject.ts'

export interface LookOptions {
  /** Fires when this caller goes; the pass goes on. */
  readonly signal?: AbortSignal | undefined
  /** How long this caller waits for it, in milliseconds. */
  readonly waitMillis: number
}

/** States whose index is missing: whoever looks at one first has it read to its end, once for all who look meanwhile. */
export interface FirstLooks {
  /**
   * @param source pinned, where another writer may replace it.
   * @throws AppError `STORAGE_TIMEOUT` with its `progress` where the caller's time is over: the next call finds it further, or
   * done. `INVALID_PAYLOAD` for what is not JSON, `OBJECT_CORRUPT`; what reading throws; the signal's reason.
   */
  indexOf(source: ObjectSource, subject: IndexSubject, options: LookOptions): Promise<JsonIndex>
  /** Ends what is under way. */
  close(): void
}

export interface FirstLooksOptions {
  readonly reads: StoredReads
  readonly admission: Pick<Admission, 'indexing'>
}

interface Look {
  readonly result: Promise<JsonIndex>
  readBytes: number
}

/** What was found wrong is not read again for so long; another version is another state. */
const WRONG_MILLIS = 60_000
const WRONG_MAX = 1000

export function createFirstLooks({ reads, admission }: FirstLooksOptions): FirstLooks {
  const looks = new Map<string, Look>()
  const wrong = new LRUCache<string, AppError>({ max: WRONG_MAX, ttl: WRONG_MILLIS })
  const closing = new AbortController()

  async function read(source: ObjectSource, tell: (count: number) => void): Promise<JsonIndex> {
    const { signal } = closing
    const leave = await admission.indexing.enter(signal)
    try {
      const onBytes = async (count: number) => {
        tell(count)
        // Others have their turn between two chunks.
        await setImmediate()
      }
      const { isJson, index } = await reads.read(source, { gate: null, lacksIndex: true, signal, onBytes })
      if (!isJson) throw new AppError('INVALID_PAYLOAD', 'The object is not JSON')
      if (!index) throw new AppError('STORAGE_UNAVAILABLE', 'The object was replaced while it was read')
      return index
    } finally {
      leave()
    }
  }

  function begin(source: ObjectSource, name: string): Look {
    const look: Look = {
      readBytes: 0,
      result: Promise.try(read, source, (count) => {
        look.readBytes += count
      }),
    }
    look.result
      .catch((error: unknown) => {
        if (isAppError(error, 'INVALID_PAYLOAD') || isAppError(error, 'OBJECT_CORRUPT')) wrong.set(name, error)
        source.note(Promise.reject(error), { checks: true })
      })
      .finally(() => looks.delete(name))
    looks.set(name, look)
    return look
  }

  return {
    async indexOf(source, subject, { signal, waitMillis }) {
      const name = nameOf(subject)
      const known = wrong.get(name)
      if (known) throw known
      const look = looks.get(name) ?? begin(source, name)
      const time = AbortSignal.timeout(Math.max(0, Math.ceil(waitMillis)))
      try {
        return await unlessAborted(look.result, signal ? AbortSignal.any([signal, time]) : time)
      } catch (error) {
        if (error !== time.reason) throw error
        throw notYet({ readBytes: look.readBytes, sizeBytes: source.sizeBytes })
      }
    },
    close: () => closing.abort(new Departure('The server stops')),
  }
}

function notYet(progress: { readonly readBytes: number; readonly sizeBytes: number | null }): AppError {
  const message = 'The state is read for the first time, and that takes longer: try again'
  return new AppError('STORAGE_TIMEOUT', message, { details: { progress } })
}
