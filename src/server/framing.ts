import type { ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'

/**
 * Refuses what two servers on the way could take for two things.
 * @throws AppError `BAD_REQUEST` for several hosts, and with status 501 for transfer codings but chunks.
 * @see RFC 9112 sections 3.2 and 6.1
 */
export function refuseUnclear(response: ServerResponse): void {
  const { headers, rawHeaders } = response.req
  if (rawHeaders.filter((text, at) => at % 2 === 0 && text.length === 4 && /^host$/i.test(text)).length > 1) {
    throw new AppError('BAD_REQUEST', 'A request has one Host')
  }
  const { 'transfer-encoding': coding = 'chunked' } = headers
  if (/^chunked$/i.test(coding)) return
  // No code of ours means 501: the status alone says it.
  response.statusCode = 501
  throw new AppError('BAD_REQUEST', 'A body may be sent in chunks, and in no other transfer coding')
}
