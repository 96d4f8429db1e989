import { createHash } from 'node:crypto'
import { createByteSource } from './byte-source.ts'
import { DamagedFileError } from './damaged.ts'

const BLOCK_BYTES = 512
/** Of what an entry says of itself in words. */
const PAX_MAX_BYTES = 65_536

/** An entry, to be read before the next one is asked for; what is left of it then is passed over. */
export interface TarEntry {
  readonly name: string
  readonly sizeBytes: number
  /** `sha256:<64 hex>`, as the one who wrote it said; null where it was written by another program. */
  readonly digest: string | null
  /** @throws DamagedFileError before its end where it is not whole or has another digest. */
  body(): AsyncGenerator<Buffer, void, undefined>
  /** @throws as `body` does, and for more than `maxBytes`. */
  whole(maxBytes: number): Promise<Buffer>
}

/**
 * The files of a tar, as POSIX has it, in constant memory.
 * @throws DamagedFileError where it is cut off, or is no tar.
 */
export async function* readTar(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry, void, undefined> {
  const source = createByteSource(chunks)
  let said: ReadonlyMap<string, string> = new Map()
  try {
    for (;;) {
      const head = await source.take(BLOCK_BYTES)
      if (head.every((byte) => byte === 0)) return
      const { name, sizeBytes, type } = readHead(head, said)
      const padding = (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES
      if (type === 'x') {
        if (sizeBytes > PAX_MAX_BYTES) throw new DamagedFileError('The file is damaged: a head of it is too long')
        said = readPax((await source.take(sizeBytes)).toString())
        await source.skip(padding)
        continue
      }
      const end = source.position() + sizeBytes
      if (type === 'file') yield entryOf({ name, sizeBytes, digest: said.get('comment') ?? null }, source)
      await source.skip(end - source.position() + padding)
      said = new Map()
    }
  } finally {
    source.close()
  }
}

type Bytes = ReturnType<typeof createByteSource>

function entryOf(told: Pick<TarEntry, 'name' | 'sizeBytes' | 'digest'>, source: Bytes): TarEntry {
  const { name, sizeBytes, digest } = told
  async function* body() {
    const hash = createHash('sha256')
    let left = sizeBytes
    while (left > 0) {
      const chunk = await source.some(left)
      left -= chunk.length
      hash.update(chunk)
      const isWrong = left === 0 && digest?.startsWith('sha256:') && digest !== `sha256:${hash.digest('hex')}`
      // Before the last bytes: whoever reads on has not had all of it.
      if (isWrong) throw new DamagedFileError(`The file is damaged: ${JSON.stringify(name)} is not what was written`)
      yield chunk
    }
  }
  return {
    ...told,
    body,
    async whole(maxBytes) {
      if (sizeBytes > maxBytes) throw new DamagedFileError(`The file is damaged: ${JSON.stringify(name)} is too long`)
      return Buffer.concat(await Array.fromAsync(body()))
    },
  }
}

interface Head {
  readonly name: string
  readonly sizeBytes: number
  readonly type: 'file' | 'x' | 'other'
}

function readHead(head: Buffer, said: ReadonlyMap<string, string>): Head {
  const sum = head.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0)
  if (head.toString('latin1', 257, 262) !== 'ustar' || octal(head, 148, 8) !== sum) {
    throw new DamagedFileError('The file is damaged, or is no tar: where an entry should begin there is none')
  }
  const flag = String.fromCharCode(head[156] ?? 0)
  const isPax = flag === 'x'
  const prefix = text(head, 345, 155)
  const own = `${prefix === '' ? '' : `${prefix}/`}${text(head, 0, 100)}`
  const sizeBytes = Number((isPax ? undefined : said.get('size')) ?? octal(head, 124, 12))
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new DamagedFileError('The file is damaged: a size in it')
  return {
    name: (said.get('path') ?? own).replace(/^(\.\/)+/, ''),
    sizeBytes,
    type: isPax ? 'x' : flag === '0' || flag === '\0' ? 'file' : 'other',
  }
}

function text(head: Buffer, start: number, length: number): string {
  const [before = ''] = head.toString('utf8', start, start + length).split('\0')
  return before
}

function octal(head: Buffer, start: number, length: number): number {
  return Number.parseInt(
    head
      .toString('latin1', start, start + length)
      .replaceAll('\0', ' ')
      .trim() || '0',
    8,
  )
}

function readPax(records: string): ReadonlyMap<string, string> {
  return new Map([...records.matchAll(/^\d+ ([^=\n]+)=(.*)$/gm)].map(([, key = '', value = '']) => [key, value]))
}
