import type { ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'

/**
 * Refuses what two servers on the way could take for two things.
 * @throws AppError `BAD_REQUEST` for several hosts, and with status 501 for transfer codings but chunks.
 * @see RFC 9112 sections 3.2 and 6.1
 */
export function refuseUnclear(response: ServerResponse): void {
  const { headers, rawHeaders } = response.req
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  if (hosts > 1) throw new AppError('BAD_REQUEST', 'A request has one Host')
  const { 'transfer-encoding': coding } = headers
  if (coding === undefined || /^chunked$/i.test(coding)) return
  // No code of ours means 501: the status alone says it.
  response.statusCode = 501
  throw new AppError('BAD_REQUEST', 'A body may be sent in chunks, and in no other transfer coding')
}
