import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { AppError } from '../errors.ts'
import type { AnnouncedDigests } from '../snapshots/capture/checked-digests.ts'

/** Of each header, how its value writes a SHA-256: RFC 9530 as a byte sequence, RFC 3230 as bare base64. */
const FORMS: Readonly<Record<string, RegExp>> = {
  'content-digest': /^:([A-Za-z0-9+/]{43}=):(?:;.*)?$/,
  'repr-digest': /^:([A-Za-z0-9+/]{43}=):(?:;.*)?$/,
  digest: /^([A-Za-z0-9+/]{43}=)$/,
}

/**
 * SHA-256 digests of the body as it is sent, which the sender gave before it, or behind it in the trailer of a body in chunks.
 * Other algorithms are ignored.
 * @throws AppError `BAD_REQUEST` for a header that is malformed.
 */
export function readDigests(request: IncomingMessage): AnnouncedDigests {
  const { headers } = request
  const before = digestsOf(headers)
  if (headers['transfer-encoding'] === undefined) return { before }
  const isExpected = Object.keys(FORMS).some((name) => namesOf(headers.trailer).includes(name))
  return { before, behind: { isExpected, read: () => digestsOf(request.trailers) } }
}

function namesOf(trailer = ''): readonly string[] {
  return trailer.split(',').map((name) => name.trim().toLowerCase())
}

function digestsOf(headers: IncomingHttpHeaders): readonly Buffer[] {
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
