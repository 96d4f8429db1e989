import { createHash } from 'node:crypto'
import { MAX_ID_BYTES } from '../../model/ids.ts'

/** The step of a checkpoint. */
export function checkpointStep(namespace: string, id: string): string {
  return namespace === '' ? shortened(id) : shortened(`${id} ${namespace}`)
}

/** The step of what a channel had. */
export function channelStep(namespace: string, channel: string): string {
  return shortened(namespace === '' ? channel : `${channel} ${namespace}`)
}

/** An id, of whatever text: a long one ends with what tells it from others. */
function shortened(id: string): string {
  if (Buffer.byteLength(id) <= MAX_ID_BYTES) return id
  const digest = createHash('sha256').update(id).digest('hex').slice(0, 32)
  const head = Buffer.from(id)
    .subarray(0, MAX_ID_BYTES - 40)
    .toString()
    .replace(/\ufffd+$/, '')
  return `${head}…${digest}`
}
