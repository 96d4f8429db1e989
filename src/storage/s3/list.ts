import { ListObjectsV2Command, ListObjectVersionsCommand, type S3Client } from '@aws-sdk/client-s3'
import type { ListedObject, StorageBackend, StorageUri } from '../backend.ts'
import { withDeadline } from '../deadline.ts'
import { unusable } from './answers.ts'
import type { S3Delete } from './delete.ts'
import { storeError } from './errors.ts'

/** Its answer is read up to a limit. */
const PAGE = 200

export interface ListStore {
  readonly control: S3Client
  readonly deadlineMs: number
}

/** In the order of the keys. Of a bucket that keeps versions also what nobody can read any more, and is still there. */
export function createS3List(
  { control, deadlineMs }: ListStore,
  { keepsVersions }: Pick<S3Delete, 'keepsVersions'>,
): NonNullable<StorageBackend['list']> {
  return async function* list(prefix, { signal } = {}) {
    const ask = async <T>(send: (abortSignal: AbortSignal) => Promise<T>): Promise<T> => {
      try {
        return await withDeadline({ deadlineMs, signal }, send)
      } catch (error) {
        throw signal?.aborted ? signal.reason : storeError(error)
      }
    }
    const page = (await keepsVersions(prefix.bucket)) ? versionPages(control, prefix) : objectPages(control, prefix)
    for (let next: string | null = ''; next !== null; ) {
      const from: string = next
      const found = await ask((abortSignal) => page(from, abortSignal))
      if (found.objects.length > 0) yield found.objects
      next = found.next
    }
  }
}

interface Page {
  readonly objects: readonly ListedObject[]
  /** Where the next one begins; null behind the last one. */
  readonly next: string | null
}

type ReadPage = (from: string, abortSignal: AbortSignal) => Promise<Page>

function objectPages(control: S3Client, { scheme, bucket, key: prefix }: StorageUri): ReadPage {
  return async (from, abortSignal) => {
    const place = { Bucket: bucket, Prefix: prefix, MaxKeys: PAGE, StartAfter: from || undefined }
    const page = await control.send(new ListObjectsV2Command(place), { abortSignal })
    // An answer without the bucket's name is none: it must not look like the end of the list.
    if (page.Name === undefined) throw unusable('no list')
    const objects = (page.Contents ?? []).flatMap(({ Key: key, Size: sizeBytes = 0, LastModified: modifiedAt }) =>
      key && modifiedAt ? [{ uri: { scheme, bucket, key }, sizeBytes, modifiedAt, isHidden: false }] : [],
    )
    return { objects, next: page.IsTruncated ? lastKeyOf(page.Contents, from) : null }
  }
}

/** A page may end within the versions of a key: the next one begins with that key anew. */
function versionPages(control: S3Client, { scheme, bucket, key: prefix }: StorageUri): ReadPage {
  const known = new Map<string, { marker: string; versionMarker: string | undefined; last: ListedObject | null }>()
  return async (from, abortSignal) => {
    const at = known.get(from)
    known.clear()
    const place = {
      Bucket: bucket,
      Prefix: prefix,
      MaxKeys: PAGE,
      KeyMarker: at?.marker,
      VersionIdMarker: at?.versionMarker,
    }
    const page = await control.send(new ListObjectVersionsCommand(place), { abortSignal })
    if (page.Name === undefined) throw unusable('no list')
    const objects = new Map<string, ListedObject>(at?.last ? [[at.last.uri.key, at.last]] : [])
    const versions = (page.Versions ?? []).map((version) => ({ ...version, isMark: false }))
    const marks = (page.DeleteMarkers ?? []).map((mark) => ({ ...mark, Size: 0, isMark: true }))
    for (const { Key: key, Size = 0, LastModified: modifiedAt, IsLatest = false, isMark } of [...versions, ...marks]) {
      if (!key || !modifiedAt) continue
      const seen = objects.get(key)
      objects.set(key, {
        uri: { scheme, bucket, key },
        sizeBytes: IsLatest && !isMark ? Size : (seen?.sizeBytes ?? 0),
        modifiedAt: seen && seen.modifiedAt > modifiedAt ? seen.modifiedAt : modifiedAt,
        isHidden: IsLatest ? isMark : (seen?.isHidden ?? true),
      })
    }
    const sorted = [...objects.values()]
    const { IsTruncated, NextKeyMarker: marker, NextVersionIdMarker: versionMarker } = page
    if (!IsTruncated) return { objects: sorted, next: null }
    if (marker === undefined || (marker === at?.marker && versionMarker === at.versionMarker)) throw unusable('no list')
    const last = objects.get(marker) ?? null
    known.set(`${marker}\n${versionMarker}`, { marker, versionMarker, last })
    return { objects: sorted.filter((object) => object !== last), next: `${marker}\n${versionMarker}` }
  }
}

function lastKeyOf(contents: readonly { readonly Key?: string | undefined }[] = [], from: string): string {
  const key = contents.at(-1)?.Key
  if (key === undefined || key === from) throw unusable('no list')
  return key
}
