import type { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import type { Database } from '../../db/connect.ts'
import { recordContentEncoding } from '../../db/queries/snapshot-findings.ts'
import { codingsIn, isEncoding } from '../encoding.ts'
import { isObject, type ObjectSource, type Source } from './source.ts'

const RECENT = 1000
const GZIP = Buffer.from([0x1f, 0x8b])
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])
/** More than one change of mind is an object that is being replaced. */
const TRIES = 3

/** The bytes of an object are in another coding than its source says. Whoever opens a source through `Codings` never meets it. */
export class Recoded extends Error {
  override readonly name = 'Recoded'
  readonly coding: string

  constructor(coding: string) {
    super(`The object is in the coding ${coding}`)
    this.coding = coding
  }
}

/** What the objects of other writers are coded in: no row tells, so the bytes do. JSON begins neither as gzip does nor as zstd. */
export interface Codings {
  /** Does something with a source, and again with what was learned of its coding meanwhile. */
  read<T, S extends Source>(source: S, view: (source: S) => Promise<T>): Promise<T>
}

export function createCodings(db: Database): Codings {
  /** Of rows that were read before it was noted there. */
  const recent = new LRUCache<string, string>({ max: RECENT })

  function learn({ snapshot, storageUri }: ObjectSource, coding: string): void {
    recent.set(storageUri, coding)
    // A reader never waits for this note, nor fails with it.
    recordContentEncoding(db, snapshot, coding).catch(() => {})
  }

  function known<S extends Source>(source: S): S {
    const coding = isObject(source) && source.kind === 'foreign' ? recent.get(source.storageUri) : undefined
    return coding === undefined || !isObject(source) ? source : (source.recoded(coding) as S)
  }

  return {
    async read(source, view) {
      for (let tries = 1; ; tries++) {
        try {
          return await view(known(source))
        } catch (error) {
          if (!(error instanceof Recoded) || !isObject(source) || tries === TRIES) throw error
          learn(source, error.coding)
        }
      }
    },
  }
}

/** What a body begins as. The body has all of its bytes afterwards. @throws what the body breaks with. */
export async function sniffCoding(body: Readable): Promise<string> {
  const head = await firstBytes(body)
  if (head.subarray(0, GZIP.length).equals(GZIP)) return 'gzip'
  return head.subarray(0, ZSTD.length).equals(ZSTD) ? 'zstd' : 'identity'
}

function firstBytes(body: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const head: Buffer | null = body.read()
      if (head === null) return
      leave()
      body.unshift(head)
      resolve(head)
    }
    const end = () => {
      leave()
      resolve(Buffer.alloc(0))
    }
    const fail = (error: Error) => {
      leave()
      reject(error)
    }
    const leave = () => body.off('readable', look).off('end', end).off('error', fail)
    body.on('readable', look).once('end', end).once('error', fail)
  })
}

/** What a name or a store says of a coding before a byte is read; undefined for nothing, or nothing that is read here. */
export function hintOfCoding(key: string, told: string | null | undefined): string | undefined {
  return codingsIn(told ?? '').find(isEncoding) ?? { gz: 'gzip', zst: 'zstd' }[/\.(gz|zst)$/.exec(key)?.[1] ?? '']
}
