import { isRecord, StatelensError } from './errors.ts'

export const TICKET_FIELDS = `uploadId alreadyStored url headers { name value } expiresAt
  parts { url headers { name value } offset sizeBytes }`

/** A range of the payload, and where it goes. */
export interface TicketRange {
  /** Signed: whoever has it may write. */
  readonly url: string
  /** To be sent exactly so. */
  readonly headers: Readonly<Record<string, string>>
  /** Half-open. */
  readonly start: number
  readonly end: number
}

export interface Ticket {
  readonly uploadId: string
  /** None where the bytes are stored already. */
  readonly ranges: readonly TicketRange[]
  /** When it ends, in milliseconds since 1970. */
  readonly expiresAt: number
}

/** @param sizeBytes of the whole payload. @throws StatelensError `UNEXPECTED_ANSWER` unless it is a ticket for all of it. */
export function readTicket(value: unknown, sizeBytes: number): Ticket {
  if (!isRecord(value) || typeof value['uploadId'] !== 'string') throw unexpected()
  const { uploadId, alreadyStored, url, headers, parts } = value
  const expiresAt = Date.parse(String(value['expiresAt']))
  if (alreadyStored === true) return { uploadId, ranges: [], expiresAt }
  if (typeof url === 'string')
    return { uploadId, ranges: [{ url, headers: readHeaders(headers), start: 0, end: sizeBytes }], expiresAt }
  const ranges = Array.isArray(parts) ? parts.map(readPart) : []
  const sent = ranges.reduce((sum, { start, end }) => (sum === start ? end : Number.NaN), 0)
  if (ranges.length === 0 || sent !== sizeBytes) throw unexpected()
  return { uploadId, ranges, expiresAt }
}

function readPart(part: unknown): TicketRange {
  if (!isRecord(part) || typeof part['url'] !== 'string') throw unexpected()
  const start = Number(part['offset'])
  return { url: part['url'], headers: readHeaders(part['headers']), start, end: start + Number(part['sizeBytes']) }
}

function readHeaders(headers: unknown): Readonly<Record<string, string>> {
  if (!Array.isArray(headers)) throw unexpected()
  const pairs = headers.map((header: unknown) => {
    if (!isRecord(header)) throw unexpected()
    return [String(header['name']), String(header['value'])] as const
  })
  return Object.fromEntries(pairs)
}

function unexpected(): StatelensError {
  return new StatelensError('UNEXPECTED_ANSWER', 'The answer is no ticket for this upload')
}
