import { setImmediate } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import type { JsonIndex } from '../../json/parts/json-index.ts'
import type { Admission } from '../source/admission.ts'
import type { ObjectSource } from '../source/source.ts'
import type { StoredReads } from '../upkeep/stored-reads.ts'
import { type IndexSubject, nameOf } from './index-subject.ts'
import { createPasses, type LookOptions, type PassLimits } from './passes.ts'

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
  readonly limits?: PassLimits | undefined
}

export function createFirstLooks({ reads, admission, limits }: FirstLooksOptions): FirstLooks {
  const passes = createPasses<JsonIndex>(admission.indexing, limits)

  async function read(source: ObjectSource, tell: (count: number) => void, signal: AbortSignal): Promise<JsonIndex> {
    const onBytes = async (count: number) => {
      tell(count)
      // Others have their turn between two chunks.
      await setImmediate()
    }
    const { isJson, index } = await reads.read(source, { gate: null, lacksIndex: true, signal, onBytes })
    if (!isJson) throw new AppError('INVALID_PAYLOAD', 'The object is not JSON')
    if (!index) throw new AppError('STORAGE_UNAVAILABLE', 'The object was replaced while it was read')
    return index
  }

  return {
    async indexOf(source, subject, options) {
      const run = (tell: (count: number) => void, signal: AbortSignal) => {
        const reading = read(source, tell, signal)
        reading.catch((error: unknown) => source.note(Promise.reject(error), { checks: true }))
        return reading
      }
      return await passes.wait({ name: nameOf(subject), sizeBytes: source.sizeBytes, run }, options)
    },
    close: () => passes.close(),
  }
}
