import type { Database } from '../../db/connect.ts'
import { forgetObjects, postponeObjects, type TakenObject, takeDoomedObjects } from '../../db/queries/objects.ts'
import type { AppError } from '../../errors.ts'
import type { DoomedObject, StorageBackend, StorageUri } from '../../storage/backend.ts'
import { withDeadline } from '../../storage/deadline.ts'
import { isLocked, lockedUntil } from '../../storage/locked.ts'
import type { Storage } from '../../storage/registry.ts'

const BATCH = 900
/** Of one bucket at once: few enough to be done, and forgotten, before their deadline. */
const MANY = 100
const ONE_DEADLINE_MS = 10_000
const MANY_DEADLINE_MS = 30_000

export interface SweepReport {
  readonly deletedObjects: number
  /** Objects whose store refused or did not answer; they come up again later. */
  readonly failedObjects: number
}

export interface SweepObjectsOptions {
  readonly db: Database
  readonly storage: Storage
  readonly graceSeconds: number
  /** How many deletions are under way at once. */
  readonly parallel: number
  readonly onProblem: (error: unknown) => void
  /** Ends the pass; what it has not deleted comes up again later. */
  readonly signal: AbortSignal
}

/** One pass over all objects whose bytes are to go. What a store or the database refuses is told. */
export async function sweepObjects(options: SweepObjectsOptions): Promise<SweepReport> {
  const { db, storage, graceSeconds, parallel, onProblem, signal } = options
  const report = { deletedObjects: 0, failedObjects: 0 }

  async function erase({ objects, remove }: Deletion): Promise<void> {
    try {
      const failures = await remove(signal)
      const gone = objects.filter((_object, index) => !failures[index])
      await forgetObjects(db, gone)
      await postpone(db, objects, failures)
      report.deletedObjects += gone.length
      report.failedObjects += objects.length - gone.length
      for (const failure of oneOfEachKind(failures)) onProblem(failure)
    } catch (error) {
      if (signal.aborted) return
      report.failedObjects += objects.length
      onProblem(error)
    }
  }

  async function eraseBatch(): Promise<boolean> {
    const taken = await takeDoomedObjects(db, { graceSeconds, limit: BATCH })
    const lanes = toLanes(taken, storage).values()
    const eraseLanes = async () => {
      for (const lane of lanes) for (const deletion of lane) if (!signal.aborted) await erase(deletion)
    }
    await Promise.all(Array.from({ length: parallel }, eraseLanes))
    return taken.length === BATCH
  }

  try {
    while (!signal.aborted && (await eraseBatch()));
  } catch (error) {
    onProblem(error)
  }
  return report
}

/** What a store has locked until a moment is not tried before it. */
async function postpone(
  db: Database,
  objects: readonly TakenObject[],
  failures: readonly (AppError | null)[],
): Promise<void> {
  const postponed = objects.flatMap((object, index) => {
    const until = lockedUntil(failures[index])
    return until === null ? [] : [{ object, until }]
  })
  if (postponed.length > 0) await postponeObjects(db, postponed)
}

/** A store that refuses one thing refuses it for hundreds of objects. */
function oneOfEachKind(failures: readonly (AppError | null)[]): Iterable<AppError> {
  const kinds = new Map<string, AppError>()
  for (const failure of failures) if (failure) kinds.set(`${failure.code} ${isLocked(failure)}`, failure)
  return kinds.values()
}

/** One request to a store. */
interface Deletion {
  readonly objects: readonly TakenObject[]
  /** @returns for each object null, or why it is still there. */
  remove(signal: AbortSignal): Promise<readonly (AppError | null)[]>
}

/** Deletions that may be under way at once; those of a lane come one after the other. */
type Lane = readonly Deletion[]

/** Those of one bucket make one lane, where its store deletes many at once: then it is the store that has several under way. */
function toLanes(taken: readonly TakenObject[], storage: Storage): Lane[] {
  const lanes: Lane[] = []
  const buckets = new Map<string, Found[]>()
  for (const object of taken) {
    try {
      const found = { object, ...storage.resolve(object.storageUri) }
      const { backend, uri } = found
      const bucket = `${uri.scheme}://${uri.bucket}`
      if (!backend.deleteMany) lanes.push([{ objects: [object], remove: (signal) => removeOne(found, signal) }])
      else if (!buckets.get(bucket)?.push(found)) buckets.set(bucket, [found])
    } catch (error) {
      // Not allowed any more, or no store is set up for it.
      lanes.push([{ objects: [object], remove: () => Promise.reject(error) }])
    }
  }
  return [...lanes, ...[...buckets.values()].map(inBucket)]
}

interface Found {
  readonly object: TakenObject
  readonly backend: StorageBackend
  readonly uri: StorageUri
}

function inBucket(found: readonly Found[]): Lane {
  const lane: Deletion[] = []
  for (let at = 0; at < found.length; at += MANY) {
    const some = found.slice(at, at + MANY)
    lane.push({ objects: some.map(({ object }) => object), remove: (signal) => removeMany(some, signal) })
  }
  return lane
}

async function removeOne({ object, backend, uri }: Found, signal: AbortSignal): Promise<readonly null[]> {
  const deadline = { deadlineMs: ONE_DEADLINE_MS, signal }
  await withDeadline(deadline, (own) => backend.delete(uri, { ...knownOf(object), signal: own }))
  return [null]
}

async function removeMany(found: readonly Found[], signal: AbortSignal): Promise<readonly (AppError | null)[]> {
  const [first] = found
  const doomed = found.map(({ object, uri }) => ({ uri, ...knownOf(object) }))
  const deadline = { deadlineMs: MANY_DEADLINE_MS, signal }
  return await withDeadline(deadline, async (own) => (await first?.backend.deleteMany?.(doomed, { signal: own })) ?? [])
}

function knownOf({ multipartId, versionId, isUnfinished }: TakenObject): Omit<DoomedObject, 'uri'> {
  return { multipartId, versionId, isUnfinished }
}
