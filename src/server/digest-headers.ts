import type { IncomingHttpHeaders } from 'node:http'
import { AppError } from '../errors.ts'

/** Of each header, how its value writes a SHA-256: RFC 9530 as a byte sequence, RFC 3230 as bare base64. */
const FORMS: Readonly<Record<string, RegExp>> = {
  'content-digest': /^:([A-Za-z0-9+/]{43}=):(?:;.*)?$/,
  'repr-digest': /^:([A-Za-z0-9+/]{43}=):(?:;.*)?$/,
  digest: /^([A-Za-z0-9+/]{43}=)$/,
}

/**
 * SHA-256 digests that the sender announced, of the body as it is sent. Other algorithms are ignored.
 * @throws AppError `BAD_REQUEST` for a header that is malformed.
 */
export function readDigests(headers: IncomingHttpHeaders): readonly Buffer[] {
  return Object.entries(FORMS).flatMap(([name, form]) => readHeader(name, String(headers[name] ?? ''), form))
}

function readHeader(name: string, header: string, form: RegExp): Buffer[] {
  if (header === '') return []
  const digests: Buffer[] = []
  for (const member of header.split(',')) {
    const [, algorithm = '', value = ''] = /^\s*([\w*.-]+)=(\S+)\s*$/.exec(member) ?? []
    if (algorithm === '') throw malformed(name)
    if (algorithm.toLowerCase() !== 'sha-256') continue
    const [, text] = form.exec(value) ?? []
    if (text === undefined) throw malformed(name)
    digests.push(Buffer.from(text, 'base64'))
  }
  return digests
}

function malformed(name: string): AppError {
  return new AppError('BAD_REQUEST', `The header ${name} is malformed`)
}
