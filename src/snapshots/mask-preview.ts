import { isAppError } from '../errors.ts'
import { createMasker, REDACTED } from '../json/mask/masker.ts'
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
    const parts = createMasker(start).write(Buffer.from(head))
    const masked = parts.indexOf(REDACTED)
    return masked === -1 ? preview : `${Buffer.concat(parts.slice(0, masked + 1))}${ELLIPSIS}`
  } catch (error) {
    if (isAppError(error, 'INVALID_PAYLOAD')) return null
    throw error
  }
}
