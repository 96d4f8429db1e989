import { HeadObjectCommand, type HeadObjectCommandOutput } from '@aws-sdk/client-s3'
import { AppError } from '../../errors.ts'
import { withDeadline } from '../deadline.ts'
import { unusable } from './answers.ts'
import type { S3Clients } from './client.ts'
import { httpStatus, objectError } from './errors.ts'

/** Of the deadline for small requests: a look comes after one that has failed. */
const LOOK_SHARE = 0.2
const PUT_ID = 'put-id'

/** One object that is about to be made. */
export interface NewObject {
  readonly Bucket: string
  readonly Key: string
  /** Holds the mark by which a put knows its own object again. */
  readonly Metadata: Readonly<Record<string, string>>
}

export interface Condition {
  readonly IfNoneMatch?: '*'
}

/** Of the answer to a request that makes an object. */
export interface Made {
  readonly ETag?: string | undefined
  readonly VersionId?: string | undefined
}

export interface Written {
  /** Null where the store keeps no versions. */
  readonly versionId: string | null
}

export interface CreateOnly {
  /** Whether it is known what this store needs. */
  isSettled(): boolean
  /** What a request must hold that is signed now and sent by somebody else; none where the store knows none. */
  condition(): Condition
  /** @throws AppError `CONFLICT` when the object is seen to be there. */
  checkAbsent(object: NewObject): Promise<void>
  /**
   * Sends the request that makes the object. Believes the answer when it names what was made, and otherwise looks: the object
   * may be there though its answer was lost, and be missing though one came.
   * @throws what `send` throws; AppError `STORAGE_UNAVAILABLE` when neither the answer nor a look shows the object.
   */
  write(object: NewObject, sizeBytes: number, send: (condition: Condition) => Promise<Made>): Promise<Written>
}

export interface CreateOnlyOptions extends Pick<S3Clients, 'control'> {
  /** Milliseconds for a small request. */
  readonly deadlineMs: number
}

export function newObject(location: { readonly bucket: string; readonly key: string }, putId: string): NewObject {
  return { Bucket: location.bucket, Key: location.key, Metadata: { [PUT_ID]: putId } }
}

/**
 * Keeps an object from being replaced: by `If-None-Match: *`, and by looking first where a store answers 501 to that.
 * What was learned holds for the life of the process.
 */
export function createCreateOnly({ control, deadlineMs }: CreateOnlyOptions): CreateOnly {
  let means: 'untried' | 'condition' | 'look' = 'untried'

  async function look({ Bucket, Key, Metadata }: NewObject): Promise<Finding> {
    const command = new HeadObjectCommand({ Bucket, Key })
    try {
      const head = await withDeadline({ deadlineMs: deadlineMs * LOOK_SHARE }, (abortSignal) =>
        control.send(command, { abortSignal }),
      )
      return { what: head.Metadata?.[PUT_ID] === Metadata[PUT_ID] ? 'ours' : 'other', head }
    } catch (error) {
      // Who may not list a bucket is not told either that an object is absent.
      if (httpStatus(error) === 403) return { what: 'hidden' }
      const failure = objectError(error)
      if (failure.code === 'OBJECT_MISSING') return { what: 'absent' }
      throw failure
    }
  }

  async function checkAbsent(object: NewObject): Promise<void> {
    const { what } = await look(object)
    if (what === 'ours' || what === 'other') throw new AppError('CONFLICT', 'An object is already there')
    if (what === 'hidden' && means === 'look') {
      throw new AppError('STORAGE_UNAVAILABLE', 'Object storage keeps no object from being replaced')
    }
  }

  /** Null unless our object is there, and whole. */
  async function findOurs(object: NewObject, sizeBytes: number): Promise<Written | null> {
    const { head } = await look(object).catch((): Finding => ({ what: 'absent' }))
    if (head?.Metadata?.[PUT_ID] !== object.Metadata[PUT_ID] || head?.ContentLength !== sizeBytes) return null
    return { versionId: head.VersionId ?? null }
  }

  const write: CreateOnly['write'] = async (object, sizeBytes, send) => {
    if (means === 'look') await checkAbsent(object)
    let made: Made
    try {
      made = await send(means === 'look' ? {} : { IfNoneMatch: '*' })
    } catch (error) {
      if (httpStatus(error) === 501 && means === 'untried') {
        means = 'look'
        return write(object, sizeBytes, send)
      }
      const ours = mayBeStored(error) ? await findOurs(object, sizeBytes) : null
      if (ours) return ours
      throw error
    }
    if (made.ETag) {
      if (means === 'untried') means = 'condition'
      return { versionId: made.VersionId ?? null }
    }
    const ours = await findOurs(object, sizeBytes)
    if (ours) return ours
    throw unusable('no name of what was stored')
  }

  return {
    isSettled: () => means !== 'untried',
    condition: () => (means === 'condition' ? { IfNoneMatch: '*' } : {}),
    checkAbsent,
    write,
  }
}

interface Finding {
  readonly what: 'absent' | 'ours' | 'other' | 'hidden'
  readonly head?: HeadObjectCommandOutput
}

/**
 * An attempt may have been stored though its answer was lost: the next one then meets its own object (412), or finds the
 * upload gone that it completed.
 */
function mayBeStored(error: unknown): boolean {
  const status = httpStatus(error)
  return status === undefined || status === 412 || (error instanceof Error && error.name === 'NoSuchUpload')
}
