import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import { AppError } from '../errors.ts'

export interface KeySetOptions {
  readonly url: string
  /** Told why the keys could not be had. */
  readonly onProblem: (error: unknown) => void
  /** Milliseconds that only go forward; those of the process when left out. */
  readonly now?: () => number
}

const FETCH_MILLIS = 5000
const MAX_BYTES = 1_048_576
/** Older keys are fetched anew while they are still used. */
const FRESH_MILLIS = 300_000
/** An issuer that cannot be asked for longer than that is not believed any more. */
const TRUSTED_MILLIS = 86_400_000
/** A key that is not known is looked for no more often than that: anybody may name one. */
const PAUSE_MILLIS = 10_000

interface KeySet {
  readonly find: ReturnType<typeof createLocalJWKSet>
  readonly at: number
}

/**
 * The keys of an issuer, by its URL. They are fetched when first needed, anew when a token names one that is not known, and in the
 * background when they are five minutes old. While the issuer cannot be asked the known ones are good for a day.
 * @returns what jose asks for the key of a token. It throws AppError `OVERLOADED` where no keys can be had.
 */
export function createKeySet({ url, onProblem, now = () => performance.now() }: KeySetOptions): JWTVerifyGetKey {
  let known: KeySet | undefined
  let fetching: Promise<KeySet> | undefined
  let askedAt = Number.NEGATIVE_INFINITY

  function refresh(): Promise<KeySet> {
    if (fetching) return fetching
    askedAt = now()
    fetching = fetchKeys(url)
      .then((find) => {
        known = { find, at: now() }
        return known
      })
      .finally(() => {
        fetching = undefined
      })
    fetching.catch(onProblem)
    return fetching
  }

  async function current(): Promise<KeySet> {
    const age = known ? now() - known.at : Number.POSITIVE_INFINITY
    if (known && age < TRUSTED_MILLIS) {
      if (age > FRESH_MILLIS && mayAsk()) refresh().catch(() => {})
      return known
    }
    if (!fetching && !mayAsk()) throw unavailable()
    return await refresh().catch((cause: unknown) => {
      throw unavailable(cause)
    })
  }

  const mayAsk = () => now() - askedAt >= PAUSE_MILLIS

  return async (header, token) => {
    const keys = await current()
    try {
      return await keys.find(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || (!fetching && !mayAsk())) throw error
      // The issuer may have a new one since. Whether or not it can be asked, the token's key is none of those.
      const newer = await refresh().catch(() => keys)
      return await newer.find(header, token)
    }
  }
}

function unavailable(cause?: unknown): AppError {
  return new AppError('OVERLOADED', 'The keys of the issuer of tokens cannot be had: try again', { cause })
}

async function fetchKeys(url: string): Promise<KeySet['find']> {
  const signal = AbortSignal.timeout(FETCH_MILLIS)
  const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } })
  const text = await readAtMost(response, MAX_BYTES)
  if (response.status !== 200) throw new Error(`the keys were answered with ${response.status}`)
  return createLocalJWKSet(JSON.parse(text) as JSONWebKeySet)
}

async function readAtMost(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  // Leaving the loop lets go of the body.
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxBytes) throw new Error('the keys are longer than any keys are')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
