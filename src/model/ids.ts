import { AppError } from '../errors.ts'

/** Longest run or step id, in bytes of UTF-8. */
export const MAX_ID_BYTES = 512

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether a caller's opaque id can exist at all: 1 to 512 bytes of well-formed text that PostgreSQL can hold. */
export function isOpaqueId(id: string): boolean {
  return id.length > 0 && id.isWellFormed() && !id.includes('\u0000') && Buffer.byteLength(id) <= MAX_ID_BYTES
}

/** @throws AppError `BAD_REQUEST` naming the argument, for ids that are to be written. */
export function requireOpaqueId(name: string, id: string): string {
  if (!isOpaqueId(id))
    throw new AppError('BAD_REQUEST', `${name} must be 1 to ${MAX_ID_BYTES} bytes of text without NUL`)
  return id
}

export function isUuid(id: string): boolean {
  return UUID.test(id)
}

/** @throws AppError `BAD_REQUEST` unless the text can be stored: well-formed, without NUL, at most `maxBytes` long. */
export function requireText(name: string, text: string, maxBytes: number): string {
  if (!text.isWellFormed() || text.includes('\u0000') || Buffer.byteLength(text) > maxBytes) {
    throw new AppError('BAD_REQUEST', `${name} must be at most ${maxBytes} bytes of well-formed text without NUL`)
  }
  return text
}

export const NODE_TYPES = ['Run', 'Step', 'Snapshot'] as const
export type NodeType = (typeof NODE_TYPES)[number]

/** Opaque, and safe for ids that hold any character: base64url of `Type:id`. */
export function encodeGlobalId(typename: string, id: string): string {
  return Buffer.from(`${typename}:${id}`).toString('base64url')
}

/** @throws AppError `BAD_REQUEST` when the id was not made by `encodeGlobalId`. */
export function decodeGlobalId(globalId: string): { typename: NodeType; id: string } {
  const text = Buffer.from(globalId, 'base64url').toString()
  const colon = text.indexOf(':')
  const typename = NODE_TYPES.find((type) => type === text.slice(0, colon))
  if (!typename || encodeGlobalId(typename, text.slice(colon + 1)) !== globalId) {
    throw new AppError('BAD_REQUEST', 'That is not an id of this server')
  }
  return { typename, id: text.slice(colon + 1) }
}

/** One text for the two parts of a step's key; `decodeStepKey` takes it apart again whatever the parts hold. */
export function encodeStepKey(runId: string, stepId: string): string {
  return `${runId.length}:${runId}${stepId}`
}

/** @throws AppError `BAD_REQUEST` when the text was not made by `encodeStepKey`. */
export function decodeStepKey(key: string): { runId: string; stepId: string } {
  const colon = key.indexOf(':')
  const length = Number(key.slice(0, Math.max(colon, 0)))
  const rest = key.slice(colon + 1)
  const runId = rest.slice(0, length)
  const stepId = rest.slice(length)
  if (encodeStepKey(runId, stepId) !== key) throw new AppError('BAD_REQUEST', 'That is not an id of a step')
  return { runId, stepId }
}

/** @throws AppError `BAD_REQUEST` when the global id is not one of this type. */
export function idOfType(type: NodeType, globalId: string): string {
  const { typename, id } = decodeGlobalId(globalId)
  if (typename !== type) throw new AppError('BAD_REQUEST', `That is not an id of a ${type}`)
  return id
}
