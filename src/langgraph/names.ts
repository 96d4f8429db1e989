import { createHash } from 'node:crypto'

/** Of an id of statelens. */
const ID_MAX_BYTES = 512

/** The step of a checkpoint. */
export function checkpointStep(namespace: string, id: string): string {
  // Cut at its end it would lose what tells it from others.
  return shortened(namespace === '' ? id : `${id} ${namespace}`)
}

/** The step of what a channel had. */
export function channelStep(namespace: string, channel: string): string {
  return shortened(namespace === '' ? channel : `${channel} ${namespace}`)
}

/** An id, of whatever text: a long one ends with what tells it from others. */
function shortened(id: string): string {
  if (Buffer.byteLength(id) <= ID_MAX_BYTES) return id
  const digest = createHash('sha256').update(id).digest('hex').slice(0, 32)
  const head = Buffer.from(id)
    .subarray(0, ID_MAX_BYTES - 40)
    .toString()
    .replace(/\ufffd+$/, '')
  return `${head}…${digest}`
}
