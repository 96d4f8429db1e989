import { type CompletedPart, ListPartsCommand, type ListPartsCommandOutput } from '@aws-sdk/client-s3'
import { AppError } from '../../errors.ts'
import { httpStatus } from './errors.ts'

const MIB = 2 ** 20
const PART_MIN_BYTES = 32 * MIB
/** The most that S3 takes. */
const PART_MAX_BYTES = 5 * 2 ** 30
/** So many URLs make one ticket; bodies above 4.8 TiB need up to 1,024, since a part holds no more. */
const PARTS = 1000
/** A page of the list has to stay below the size to which answers are read. */
const PAGE_PARTS = 100

export interface Part {
  readonly offset: number
  readonly sizeBytes: number
}

/** The ranges of a body that is sent in parts, in order; all but the last one have the same size. */
export function partsOf(sizeBytes: number): Part[] {
  const fair = Math.ceil(sizeBytes / PARTS / MIB) * MIB
  const partBytes = Math.min(PART_MAX_BYTES, Math.max(PART_MIN_BYTES, fair))
  return Array.from({ length: Math.ceil(sizeBytes / partBytes) }, (_, index) => {
    const offset = index * partBytes
    return { offset, sizeBytes: Math.min(partBytes, sizeBytes - offset) }
  })
}

interface Place {
  readonly Bucket: string
  readonly Key: string
  readonly UploadId: string
}

/**
 * What the store has of an upload, as completing it wants it.
 * @throws AppError `OBJECT_MISSING` when parts are missing, `BAD_REQUEST` when one has another length; what `send` throws.
 */
export async function listParts(
  place: Place,
  sizeBytes: number,
  send: (command: ListPartsCommand) => Promise<ListPartsCommandOutput>,
): Promise<CompletedPart[]> {
  const expected = partsOf(sizeBytes)
  const found: CompletedPart[] = []
  let marker: string | undefined
  do {
    const page = await send(new ListPartsCommand({ ...place, PartNumberMarker: marker, MaxParts: PAGE_PARTS }))
    for (const { PartNumber = 0, Size, ETag } of page.Parts ?? []) {
      if (Size !== expected[PartNumber - 1]?.sizeBytes) throw new AppError('BAD_REQUEST', 'A part has another length')
      found.push({ PartNumber, ETag })
    }
    marker = page.IsTruncated ? page.NextPartNumberMarker : undefined
  } while (marker !== undefined)
  if (found.length === expected.length) return found
  throw new AppError('OBJECT_MISSING', `Of ${expected.length} parts ${found.length} have arrived`)
}

/** It was completed or aborted. Stores name it in more than one way. */
export function isUnknownUpload(error: unknown): boolean {
  return httpStatus(error) === 404 && error instanceof Error && error.name !== 'NoSuchBucket'
}
