import { isAppError } from '../errors.ts'

/** Why a database cannot be used, as far as its failures tell. */
export type DatabaseTrouble = (typeof TROUBLES)[number][1] | 'OTHER'

/** What a failure says by its code, or else by its words; the first that fits. */
const TROUBLES = [
  [/^ECONNREFUSED\b|^ENOENT\b/, 'REFUSED'],
  [/^(ENOTFOUND|EAI_)/, 'UNKNOWN_HOST'],
  [/^EACCES\b/, 'SOCKET_FORBIDDEN'],
  [/^(ETIMEDOUT|EHOST|ENET)/, 'NO_ANSWER'],
  [/^57014\b/, 'SLOW'],
  [/^55P03\b/, 'LOCKED'],
  [/^28000\b.*no encryption/, 'TLS_WANTED'],
  [/^28/, 'NOT_LET_IN'],
  [/^3D000\b/, 'NO_DATABASE'],
  [/^42501\b/, 'NO_RIGHT'],
  [/^53300\b/, 'TOO_MANY_CONNECTIONS'],
  [/^25006\b/, 'READ_ONLY'],
  [/^57P0/, 'STARTING'],
  [/^(08P01|0A000)\b.*startup parameter: options/i, 'POOLER_OPTIONS'],
  [/^08P01\b/, 'POOLER'],
  [/^ERR_TLS_CERT_ALTNAME/, 'CERTIFICATE_NAME'],
  [/^CERT_(HAS_EXPIRED|NOT_YET_VALID)/, 'CERTIFICATE_DATE'],
  [/^(DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|CERT_|.*ISSUER)/, 'CERTIFICATE'],
  [/The server does not support SSL/, 'NO_TLS'],
  [/CERT|SSL|TLS|SIGNATURE/, 'TLS'],
  // pg gives these no code.
  [/client password must be/, 'NO_PASSWORD'],
  [/\bSASL/, 'NOT_LET_IN'],
  [/timeout/i, 'NO_ANSWER'],
  [/invalid response|Received unexpected|^ECONNRESET|^EPIPE|Connection terminated/i, 'NOT_POSTGRES'],
] as const satisfies readonly (readonly [RegExp, string])[]

/** Reads what this folder, or pg, failed with. */
export function troubleOf(error: unknown): DatabaseTrouble {
  if (!(error instanceof Error)) return 'OTHER'
  if (isAppError(error)) return error.cause === undefined ? 'OTHER' : troubleOf(error.cause)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const sign = `${code} ${error.message}`.trim()
  return TROUBLES.find(([pattern]) => pattern.test(sign))?.[1] ?? 'OTHER'
}
