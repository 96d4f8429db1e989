import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Viewer } from '../../auth/viewer.ts'
import { AppError } from '../../errors.ts'
import { INDEX_ABOVE_BYTES, type JsonIndex } from '../../json/parts/json-index.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { createFirstLooks } from '../indexes/first-looks.ts'
import { indexBytes } from '../indexes/index-bytes.ts'
import { type IndexSubject, nameOf, subjectOf } from '../indexes/index-subject.ts'
import type { KeyTables } from '../indexes/key-tables.ts'
import type { PassLimits } from '../indexes/passes.ts'
import type { StateIndexes } from '../indexes/state-indexes.ts'
import { formatDigest } from '../measure.ts'
import type { Admission } from '../source/admission.ts'
import { isMasked, isObject, type MaskedSource, type ObjectSource, type Source } from '../source/source.ts'
import type { ResolveOptions } from '../source/sources.ts'
import type { StoredReads } from '../upkeep/stored-reads.ts'
import { discard, type OpenPayload } from './open-payload.ts'
import { createPartReader, type KnownEtags, readerOfBytes } from './part-reader.ts'
import { readAtMost } from './payload-bytes.ts'
import type { Payloads } from './payloads.ts'
import { createKeptSpans } from './shared-ranges.ts'
import { createStateDocument, type StateDocument } from './state-document.ts'
import { createStateKeys } from './state-keys.ts'

/** Places in states of any size, read without the rest. */
export interface Parts {
  /**
   * What one request of a viewer reads.
   * @param patienceMillis how long it would wait at most for an index that is being made, where that is less than usual.
   */
  forViewer(viewer: Viewer, signal?: AbortSignal, patienceMillis?: number): RequestParts
  /** Ends what is read for later requests. */
  close(): void
}

/** A snapshot whose state is looked into. */
export type Asked = Snapshot & Pick<ResolveOptions, 'useCache'>

/** What one request reads of states: it shares documents, indexes and ranges. */
export interface RequestParts {
  /**
   * The document of a snapshot's payload, wherever it lies. One without an index is read to its end first, once for all who ask.
   * @throws AppError `STORAGE_TIMEOUT` with `progress` where that takes longer than this request waits; what `Payloads` throw.
   */
  open(snapshot: Asked): Promise<StateDocument>
  /** Does something that takes much of a core and of memory, when it has its turn. @throws AppError `OVERLOADED`. */
  inTurn<T>(work: () => Promise<T>): Promise<T>
  /** Takes a place among the answers that are streamed, until it is closed. @throws AppError `OVERLOADED`. */
  enterStream(): Promise<void>
  /** Lets go of what is held of memory; to be called when nothing more is asked. */
  close(): void
}

export interface PartsOptions {
  readonly payloads: Pick<Payloads, 'resolve' | 'read' | 'openJson'>
  readonly indexes: StateIndexes
  readonly keyTables: KeyTables
  readonly reads: StoredReads
  readonly admission: Pick<Admission, 'reads' | 'streams' | 'searches' | 'indexing'>
  /** Coded states up to so many bytes are decoded into memory. */
  readonly wholeMaxBytes: number
  /** How long a request waits for an index that is being made, in milliseconds; 20,000 when left out. */
  readonly waitMillis?: number
  readonly passLimits?: PassLimits | undefined
}

const WAIT_MILLIS = 20_000
/** Of documents that one request has open: bytes of those that are in memory. */
const OPEN_MAX_BYTES = 32 * 1_048_576
/** What one may keep of an object that is not in memory. */
const OPEN_BYTES = 1_048_576
/** Of a payload that has to be read whole, as nothing tells one version of it from another. */
const WHOLE_MAX_BYTES = 64 * 1_048_576

const ETAGS_MAX = 10_000
/** What comes as a stream is held up to here; so is what is masked, of which larger ones are read whole. */
const STREAMED_MAX_BYTES = 4 * 1_048_576

/** A document, and what it holds. */
interface Opened {
  readonly document: StateDocument
  release(): void
}

export function createParts(options: PartsOptions): Parts {
  const { payloads, indexes, reads: storedReads, admission, wholeMaxBytes, waitMillis = WAIT_MILLIS } = options
  const limits = options.passLimits
  const firstLooks = createFirstLooks({ reads: storedReads, admission, limits })
  const stateKeys = createStateKeys({ tables: options.keyTables, admission, limits })
  const etags: KnownEtags = new LRUCache({ max: ETAGS_MAX })

  function openForViewer(viewer: Viewer, signal: AbortSignal | undefined, patienceMillis: number) {
    const kept = createKeptSpans()
    const until = performance.now() + Math.min(waitMillis, patienceMillis)
    const look = () => ({ signal, waitMillis: until - performance.now() })
    const reads = { kept, searches: admission.searches, signal }

    async function indexOf(source: ObjectSource, subject: IndexSubject): Promise<JsonIndex> {
      const known = await indexes.find(subject)
      return known ?? (await firstLooks.indexOf(source, subject, look()))
    }

    async function openWhole(source: Source, useCache: boolean | undefined): Promise<Opened> {
      const maxBytes = isObject(source) ? WHOLE_MAX_BYTES : undefined
      const opened = await payloads.openJson(source, { maxBytes, useCache, signal })
      const { digest, digestOf } = source.snapshot
      return await openBytes(opened, digestOf === 'PAYLOAD' ? digest : null)
    }

    /** What is left of a state; no index of the whole says anything of it. */
    async function openMasked(source: MaskedSource, useCache: boolean | undefined): Promise<Opened> {
      const opened = await payloads.openJson(source, { maxBytes: STREAMED_MAX_BYTES, useCache, signal })
      return await openBytes(opened, null)
    }

    async function openBytes(opened: OpenPayload, digest: string | null): Promise<Opened> {
      try {
        const bytes = await inMemory(opened)
        const index = bytes.length > INDEX_ABOVE_BYTES ? await indexBytes(bytes) : null
        const version = digest ?? formatDigest(hash('sha256', bytes, 'buffer'))
        const reader = readerOfBytes(bytes)
        const held = { version, isInMemory: true, sizeBytes: bytes.length, index, reader, onFailure: () => {} }
        return { document: createStateDocument(held, reads), release: opened.release }
      } catch (error) {
        discard(opened)
        throw error
      }
    }

    async function openObject(source: ObjectSource, useCache: boolean | undefined): Promise<Opened> {
      if (source.kind === 'own' && isSmall(source)) return await openWhole(source, useCache)
      const version = source.kind === 'own' ? null : await source.stat(signal)
      const subject = subjectOf(source, version)
      const isPlain = source.contentEncoding === 'identity'
      if (!subject || (version && isPlain && version.sizeBytes <= INDEX_ABOVE_BYTES))
        return await openWhole(source, useCache)
      refuseInvalid(source, version?.etag)
      // Of another writer's only the version that the index is of is read.
      const pinned = version ? source.pin(version.etag) : source
      const index = await indexOf(pinned, subject)
      if (isPlain && version && index.sizeBytes !== version.sizeBytes) throw replaced()
      const reader = createPartReader(pinned, { etags, reads: admission.reads, streams: admission.streams })
      const alone = createPartReader(pinned, { etags, reads: admission.reads, streams: null })
      const keys = stateKeys.finder({ subject, index, reader: alone, look })
      const onFailure = (error: unknown) => source.note(Promise.reject(error), { checks: false })
      const { sizeBytes } = index
      const stored = { version: nameOf(subject), isInMemory: false, sizeBytes, index, keys, reader, onFailure }
      return { document: createStateDocument(stored, reads), release() {} }
    }

    const isSmall = ({ sizeBytes, contentEncoding }: ObjectSource) =>
      sizeBytes !== null && sizeBytes <= (contentEncoding === 'identity' ? INDEX_ABOVE_BYTES : wholeMaxBytes)

    return async ({ useCache, ...snapshot }: Asked): Promise<Opened> => {
      const source = await payloads.resolve(snapshot, { viewer, useCache, signal })
      if (isMasked(source)) return await openMasked(source, useCache)
      if (!isObject(source)) return await openWhole(source, useCache)
      return await payloads.read(source, (coded) => openObject(coded, useCache))
    }
  }

  return {
    forViewer(viewer, signal, patienceMillis = Number.POSITIVE_INFINITY) {
      const open = openForViewer(viewer, signal, patienceMillis)
      const documents = new LRUCache<string, Promise<Opened>>({
        maxSize: OPEN_MAX_BYTES,
        dispose: (opened) => void opened.then(({ release }) => release()).catch(() => {}),
      })
      const held: (() => void)[] = []
      return {
        async inTurn(work) {
          const leave = await admission.searches.enter(signal)
          return await work().finally(leave)
        },
        async enterStream() {
          held.push(await admission.streams.enter(signal))
        },
        async open(snapshot) {
          const { snapshotId, sizeBytes, storageUri, useCache = true } = snapshot
          const name = `${snapshotId} ${useCache}`
          const known = documents.get(name)
          if (known) return (await known).document
          const opening = open(snapshot)
          const isWhole = storageUri === null || (sizeBytes !== null && sizeBytes <= wholeMaxBytes)
          const size = isWhole ? (sizeBytes ?? INDEX_ABOVE_BYTES) : OPEN_BYTES
          documents.set(name, opening, { size: Math.min(Math.max(size, 1), OPEN_MAX_BYTES) })
          opening.catch(() => documents.delete(name))
          return (await opening).document
        },
        close() {
          documents.clear()
          for (const release of held.splice(0)) release()
        },
      }
    },
    close() {
      firstLooks.close()
      stateKeys.close()
    },
  }
}

/** @throws AppError `OVERLOADED` for a large one that there was no room for; what its body breaks with. */
async function inMemory(opened: OpenPayload): Promise<Buffer> {
  const { sizeBytes, body } = opened
  if (Buffer.isBuffer(body)) return body
  if (sizeBytes <= STREAMED_MAX_BYTES) return await readAtMost(body, sizeBytes)
  throw new AppError('OVERLOADED', 'Too many payloads are held: try again')
}

/** @throws AppError `INVALID_PAYLOAD` where that was found of just this version. */
function refuseInvalid({ snapshot }: ObjectSource, etag: string | null | undefined): void {
  const { jsonVerdict } = snapshot
  if (jsonVerdict && !jsonVerdict.isJson && jsonVerdict.etag === etag) {
    throw new AppError('INVALID_PAYLOAD', 'The object is not JSON')
  }
}

function replaced(): AppError {
  return new AppError('STORAGE_UNAVAILABLE', 'The object was replaced while it was read')
}
