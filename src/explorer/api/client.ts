import { signal } from '@preact/signals'
import type { TypedText } from '../generated/documents.ts'
import { SERVER } from '../location.ts'
import { Fault, isAbort, type Progress } from './fault.ts'
import { noteAnswer, noteSilence } from './line.ts'

const TOKEN = 'statelens-token'

/** Sent with each question; kept for this tab alone. Null: none. */
export const token = signal<string | null>(sessionStorage.getItem(TOKEN))
/** Counts up whenever somebody else looks at the page: nothing of what it showed stays. */
export const signedIn = signal(0)

export function setToken(text: string | null): void {
  if (text === null) sessionStorage.removeItem(TOKEN)
  else sessionStorage.setItem(TOKEN, text)
  token.value = text
  signedIn.value++
}

const STOPPED = new Fault('STOPPED', 'Stopped before an answer came')
let reading = new AbortController()

/** Gives up what is being read: whoever asked for it is told `STOPPED`. Streams of events go on. */
export function stopReading(): void {
  reading.abort(STOPPED)
  reading = new AbortController()
}

export interface Answer<Data> {
  readonly data: Data
  /** Of single places; what stands around them is there. */
  readonly faults: readonly Fault[]
}

/** So often the page is told how far a state has been looked through. */
const PATIENCE = { prefer: 'wait=1' }

/** @throws Fault when there is no answer at all; DOMException `AbortError` with the signal. */
export async function ask<Data, Variables>(
  document: TypedText<Data, Variables>,
  variables: Variables,
  signal: AbortSignal,
): Promise<Answer<Data>> {
  const response = await request('graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json', ...PATIENCE },
    body: JSON.stringify({ query: document, variables }),
    signal: AbortSignal.any([signal, reading.signal]),
  })
  const { data, errors = [] } = await readJson(response)
  const faults = errors.map((error) => faultIn(error, response))
  if (data === null || data === undefined) throw faults[0] ?? faultOfStatus(response)
  return { data: data as Data, faults }
}

/** A plain route below the server's root, with who asks. @throws as `ask`, also for a status of failure. */
export async function fetchPlain(
  path: string,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const response = await request(path, {
    headers: { ...headers, ...PATIENCE },
    signal: AbortSignal.any([signal, reading.signal]),
  })
  if (response.ok) return response
  const { code, message, progress } = await response.json().catch(() => ({}))
  throw typeof code === 'string'
    ? new Fault(code, String(message), { retryAfterSeconds: retryAfter(response), progress })
    : faultOfStatus(response)
}

/** The answer's head, whatever its status is. */
export async function request(path: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers)
  if (token.value !== null) headers.set('authorization', `Bearer ${token.value}`)
  try {
    const response = await fetch(new URL(path, SERVER), { ...init, headers, cache: 'no-store', credentials: 'omit' })
    noteAnswer()
    return response
  } catch (error) {
    if (isGivenUp(error)) throw error
    throw noteSilence()
  }
}

const isGivenUp = (error: unknown) => isAbort(error) || error === STOPPED

interface GraphqlBody {
  readonly data?: unknown
  readonly errors?: readonly GraphqlError[]
}

interface GraphqlError {
  readonly message: string
  readonly path?: readonly (string | number)[]
  readonly extensions?: Readonly<Record<string, unknown>>
}

async function readJson(response: Response): Promise<GraphqlBody> {
  try {
    return await response.json()
  } catch (error) {
    if (isGivenUp(error)) throw error
    // What stands in front of the server answers in a page of its own; an answer that breaks off is none.
    throw response.ok ? noteSilence() : faultOfStatus(response)
  }
}

function faultIn({ message, path, extensions = {} }: GraphqlError, response: Response): Fault {
  const { code = 'UNKNOWN', nearest, progress } = extensions
  return new Fault(String(code), message, {
    path,
    retryAfterSeconds: retryAfter(response),
    nearest: typeof nearest === 'string' ? nearest : undefined,
    progress: progress as Progress | undefined,
  })
}

function faultOfStatus(response: Response): Fault {
  const code = { 401: 'UNAUTHENTICATED', 403: 'FORBIDDEN', 404: 'NOT_FOUND', 429: 'RATE_LIMITED', 503: 'OVERLOADED' }[
    response.status
  ]
  return new Fault(code ?? 'UNKNOWN', `The server answered ${response.status}`, {
    retryAfterSeconds: retryAfter(response),
  })
}

function retryAfter({ headers }: Response): number | undefined {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) ? seconds : undefined
}
