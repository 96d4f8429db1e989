const BLOCK_BYTES = 512
/** What eleven octal digits can say. */
const SIZE_MAX = 0o77777777777

/** An entry whose content follows. */
export interface TarHead {
  /** At most 100 bytes of ASCII. */
  readonly name: string
  readonly sizeBytes: number
  /** `sha256:<64 hex>` of its content, kept as a comment, which every reader of pax takes. */
  readonly digest: string
}

/** What stands before the content of an entry, as POSIX has it (pax). */
export function tarHead({ name, sizeBytes, digest }: TarHead): Buffer {
  const records = [
    paxRecord('comment', digest),
    ...(sizeBytes > SIZE_MAX ? [paxRecord('size', String(sizeBytes))] : []),
  ]
  const pax = Buffer.from(records.join(''))
  return Buffer.concat([
    block('pax/'.concat(name).slice(0, 100), pax.length, 'x'),
    pax,
    tarPadding(pax.length),
    block(name, Math.min(sizeBytes, SIZE_MAX), '0'),
  ])
}

/** What stands behind content of so many bytes. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES)
}

export const TAR_END = Buffer.alloc(2 * BLOCK_BYTES)

/** Its length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return `${length}${rest}`
}

function block(name: string, sizeBytes: number, type: '0' | 'x'): Buffer {
  const head = Buffer.alloc(BLOCK_BYTES)
  head.write(name, 0, 100, 'latin1')
  head.write('0000600\0', 100)
  head.write('0000000\0', 108)
  head.write('0000000\0', 116)
  head.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124)
  head.write('00000000000\0', 136)
  head.write('        ', 148)
  head.write(type, 156)
  head.write('ustar\x0000', 257)
  const sum = head.reduce((total, byte) => total + byte, 0)
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return head
}
