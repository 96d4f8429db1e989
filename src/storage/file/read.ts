import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createTurns } from '../../turns.ts'
import type { ByteRange } from '../backend.ts'

const CHUNK_BYTES = 131_072
/** Of a file that nobody else is read beside. */
const CHUNK_ALONE_BYTES = 262_144
/**
 * Reads at once, of all files together: as many as Node has threads for. What is read must not lie about until its reader takes it: of 64
 * streams that each read ahead, the pieces outlive so many collections of young objects that only the large ones free them,
 * which then take three quarters of all work.
 */
const reads = createTurns(4)

/** Those bytes of a file, read when they are asked for and not before; less where the file ends sooner. The handle is closed with the stream. */
export function readRange(handle: FileHandle, { start, end }: ByteRange): Readable {
  let at = start
  const body: Readable = new Readable({
    // Nothing is read ahead.
    highWaterMark: 0,
    read() {
      if (at === end) body.push(null)
      else void readSome()
    },
    destroy(error, done) {
      handle.close().then(
        () => done(error),
        (failure) => done(error ?? failure),
      )
    },
  })

  async function readSome(): Promise<void> {
    await reads.enter()
    try {
      if (body.destroyed) return
      const most = reads.taken() === 1 ? CHUNK_ALONE_BYTES : CHUNK_BYTES
      const buffer = Buffer.allocUnsafeSlow(Math.min(most, end - at))
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at)
      at = bytesRead === 0 ? end : at + bytesRead
      body.push(bytesRead === 0 ? null : buffer.subarray(0, bytesRead))
    } catch (error) {
      body.destroy(error as Error)
    } finally {
      reads.leave()
    }
  }
  return body
}
