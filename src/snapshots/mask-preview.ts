import { isAppError } from '../errors.ts'
import { createMasker } from '../json/mask/masker.ts'
import { ELLIPSIS } from '../json/preview.ts'
import type { Policy } from './policies.ts'

/**
 * The preview up to the first place that the policy masks, and no further: where a preview is cut depends on how much stands in it. Null
 * where there is none, or where it is not the beginning of a document.
 */
export function maskPreview(preview: string | null | undefined, { start }: Policy): string | null {
  if (preview == null) return null
  // No document ends so.
  const head = preview.endsWith(ELLIPSIS) ? preview.slice(0, -ELLIPSIS.length) : preview
  try {
    const masker = createMasker(start)
    const masked = masker.write(Buffer.from(head))
    const end = masker.firstEnd()
    return end === null ? preview : `${masked.subarray(0, end)}${ELLIPSIS}`
  } catch (error) {
    if (isAppError(error, 'INVALID_PAYLOAD')) return null
    throw error
  }
}
