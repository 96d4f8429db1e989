import { HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { AppError } from '../../errors.ts'
import { withDeadline } from '../abort.ts'
import type { S3Clients } from './client.ts'
import { httpStatus, objectError } from './errors.ts'

const LOOK_DEADLINE_MS = 3000
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

export interface CreateOnly {
  /** Whether it is known what this store needs; until then only send what can be sent again. */
  isSettled(): boolean
  /** What a request must hold that is signed now and sent by somebody else; none where the store knows none. */
  condition(): Condition
  /** @throws AppError `CONFLICT` when the object is seen to be there. */
  checkAbsent(object: NewObject): Promise<void>
  /** Sends the request that makes the object; resolves as well when its answer was lost but the object is there. */
  write<Output>(object: NewObject, send: (condition: Condition) => Promise<Output>): Promise<Output | object>
}

export function newObject(location: { readonly bucket: string; readonly key: string }, putId: string): NewObject {
  return { Bucket: location.bucket, Key: location.key, Metadata: { [PUT_ID]: putId } }
}

/**
 * Keeps an object from being replaced: by `If-None-Match: *`, and by looking first where a store answers 501 to that.
 * What was learned holds for the life of the process.
 */
export function createCreateOnly({ control }: Pick<S3Clients, 'control'>): CreateOnly {
  let means: 'untried' | 'condition' | 'look' = 'untried'

  async function checkAbsent(object: NewObject): Promise<void> {
    const found = await look(control, object)
    if (found === 'ours' || found === 'other') throw new AppError('CONFLICT', 'An object is already there')
    if (found === 'hidden' && means === 'look') {
      throw new AppError('STORAGE_UNAVAILABLE', 'Object storage keeps no object from being replaced')
    }
  }

  async function write<Output>(object: NewObject, send: (condition: Condition) => Promise<Output>) {
    if (means === 'look') await checkAbsent(object)
    try {
      const output = await send(means === 'look' ? {} : { IfNoneMatch: '*' })
      if (means === 'untried') means = 'condition'
      return output
    } catch (error) {
      if (httpStatus(error) === 501 && means === 'untried') {
        means = 'look'
        return write(object, send)
      }
      if (mayBeStored(error) && (await look(control, object).catch(() => 'unknown')) === 'ours') return {}
      throw error
    }
  }

  return {
    isSettled: () => means !== 'untried',
    condition: () => (means === 'condition' ? { IfNoneMatch: '*' } : {}),
    checkAbsent,
    write,
  }
}

type Finding = 'absent' | 'ours' | 'other' | 'hidden'

async function look(control: S3Client, { Bucket, Key, Metadata }: NewObject): Promise<Finding> {
  const command = new HeadObjectCommand({ Bucket, Key })
  try {
    const head = await withDeadline({ deadlineMs: LOOK_DEADLINE_MS }, (abortSignal) =>
      control.send(command, { abortSignal }),
    )
    return head.Metadata?.[PUT_ID] === Metadata[PUT_ID] ? 'ours' : 'other'
  } catch (error) {
    // Who may not list a bucket is not told either that an object is absent.
    if (httpStatus(error) === 403) return 'hidden'
    const failure = objectError(error)
    if (failure.code === 'OBJECT_MISSING') return 'absent'
    throw failure
  }
}

/**
 * An attempt may have been stored though its answer was lost: the next one then meets its own object (412), or finds the
 * upload gone that it completed.
 */
function mayBeStored(error: unknown): boolean {
  const status = httpStatus(error)
  return status === undefined || status === 412 || (error instanceof Error && error.name === 'NoSuchUpload')
}
