import { Readable } from 'node:stream'

/** The bytes of one stream, kept as they come, for any number of readers at any speed of their own. */
export interface GrowingBytes {
  readonly sizeBytes: number
  /** All of them, once they are here. Rejects with what broke the stream. */
  whole(): Promise<Buffer>
  /** From the first one on; breaks as the stream did. */
  read(): Readable
}

/** Bytes that are all here. */
export function bytesAtHand(bytes: Buffer): GrowingBytes {
  return { sizeBytes: bytes.length, whole: async () => bytes, read: () => Readable.from([bytes]) }
}

/** @param body is read as fast as it comes; its errors reach every reader, in place of its end. */
export function growBytes(body: Readable, sizeBytes: number): GrowingBytes {
  const chunks: Buffer[] = []
  const readers = new Set<() => void>()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let state: 'grows' | 'whole' | { readonly failure: Error } = 'grows'
  let joined: Buffer | undefined

  const tell = () => {
    for (const wake of readers) wake()
  }
  const fail = (failure: Error) => {
    if (state !== 'grows') return
    state = { failure }
    reject(failure)
    tell()
  }
  body.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    tell()
  })
  body.once('end', () => {
    state = 'whole'
    resolve()
    tell()
  })
  body.on('error', fail)
  body.once('close', () => fail(new Error('the bytes were let go before their end')))
  // Readers hear of a failure by themselves.
  promise.catch(() => {})

  return {
    sizeBytes,
    async whole() {
      await promise
      joined ??= chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
      return joined
    },
    read() {
      let next = 0
      const reader = new Readable({
        highWaterMark: 1,
        read: () => wake(),
        destroy(error, done) {
          readers.delete(wake)
          done(error)
        },
      })
      function wake(): void {
        const chunk = chunks[next]
        readers.delete(wake)
        if (chunk) {
          next += 1
          reader.push(chunk)
        } else if (state === 'whole') reader.push(null)
        else if (state === 'grows') readers.add(wake)
        else reader.destroy(state.failure)
      }
      return reader
    },
  }
}
