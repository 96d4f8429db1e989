import { type Encoding, isEncoding } from '../encoding.ts'
import type { Admission } from '../source/admission.ts'
import { isObject, type ObjectSource, type Source } from '../source/source.ts'
import type { StoredBytes } from '../stored-bytes.ts'
import { nothingHeld, type OpenOptions, type OpenPayload } from './open-payload.ts'
import { verifiedBody } from './verified-body.ts'

/** A payload in the coding that it is stored in, for clients that accept it. */
export interface CodedPayload {
  readonly coding: Encoding
  /** Of the stored bytes. */
  readonly sizeBytes: number
  /** The bytes as they lie, held to the digest that was noted of them. @throws as opening the whole does. */
  open(options?: Pick<OpenOptions, 'signal'>): Promise<OpenPayload>
}

/**
 * Null where the stored bytes must not be handed on as they lie: they are not coded, are another writer's, or were stored before
 * a digest of them was noted. Only what this server captured is known to be one whole stream: browsers stop at the end of the first.
 */
export type CodedView = (source: Source) => Promise<CodedPayload | null>

export function createCodedView(admission: Admission): CodedView {
  async function open(source: ObjectSource, stored: StoredBytes, { signal }: Pick<OpenOptions, 'signal'>) {
    const object = await source.get({ gate: admission.streams, signal })
    const digest = `sha256:${stored.digest.toString('hex')}`
    const body = verifiedBody(object.body, { digest, sizeBytes: stored.sizeBytes, contentEncoding: 'identity' })
    return { sizeBytes: stored.sizeBytes, body, release: nothingHeld }
  }

  return async (source) => {
    if (!isObject(source) || source.kind !== 'own' || !isEncoding(source.contentEncoding)) return null
    const stored = await source.stored()
    if (!stored) return null
    return {
      coding: source.contentEncoding,
      sizeBytes: stored.sizeBytes,
      async open(options = {}) {
        const opening = open(source, stored, options)
        source.note(opening, { checks: true })
        return await opening
      },
    }
  }
}
