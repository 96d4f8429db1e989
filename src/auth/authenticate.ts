import type { IncomingMessage } from 'node:http'
import { AppError } from '../errors.ts'
import type { FailurePace } from './failures.ts'
import { STRANGER, type Viewer } from './viewer.ts'

/** What a request shows of who sends it. */
export interface Shown {
  /** Its header. */
  readonly authorization: string | undefined
  /** Where it comes from. */
  readonly address: string
  /** What it came by, and came with, where somebody else than this server tells who it is. */
  readonly request: IncomingMessage
}

/**
 * Who sends a request: a stranger where it shows nothing. No promise where nothing has to be waited for.
 * @throws AppError `UNAUTHENTICATED` for what is no good token, and `RATE_LIMITED` once too many of those came from its address;
 * `OVERLOADED` where nobody can tell now.
 */
export type Authenticate = (shown: Shown) => Viewer | Promise<Viewer>

/** One way to log in: whose a token is, or null. */
export type Check = (token: string) => Viewer | null | Promise<Viewer | null>

export interface AuthenticateOptions {
  readonly check: Check
  readonly failures: FailurePace
}

/** RFC 6750: a token in the header, and nowhere else, where logs and browsers would keep it. */
const BEARER = /^Bearer +([\w.~+/-]+=*)$/i

export function createAuthenticate({ check, failures }: AuthenticateOptions): Authenticate {
  function decide(viewer: Viewer | null, address: string): Viewer {
    if (viewer) return viewer
    if (failures(address))
      throw new AppError('RATE_LIMITED', 'Too many tokens that are not valid: wait before the next')
    throw new AppError('UNAUTHENTICATED', 'That token is not valid, or not any more')
  }

  return ({ authorization, address }) => {
    if (authorization === undefined) return STRANGER
    const [, token] = BEARER.exec(authorization) ?? []
    const viewer = token === undefined ? null : check(token)
    return viewer instanceof Promise ? viewer.then((found) => decide(found, address)) : decide(viewer, address)
  }
}

/** What a client is told beside 401 or 403. @see RFC 6750 section 3 */
export function challengeOf(status: number, authorization: string | undefined): string | undefined {
  if (status === 401) return authorization === undefined ? REALM : `${REALM}, error="invalid_token"`
  return status === 403 && authorization !== undefined ? `${REALM}, error="insufficient_scope"` : undefined
}

const REALM = 'Bearer realm="statelens"'
