import { failureOf, readData, readGraphql } from './answers.ts'
import { badRequest, isRecord, parseJson, StatelensError } from './errors.ts'
import { readEvents } from './event-stream.ts'
import { answerOf, type HttpAnswer, type Outgoing, receive, send } from './http.ts'
import type { PutTarget } from './request.ts'

export interface CaptureResult {
  readonly snapshotId: string
  /** Order of capture; beyond 2^53 - 1 as its digits. */
  readonly seq: number | string
  readonly sizeBytes: number
  /** `sha256:<64 hex>` of the payload. */
  readonly digest: string
  readonly storageTier: 'INLINE' | 'OBJECT'
  /** False when it was stored before, be it by an attempt of this very call whose answer was lost. */
  readonly created: boolean
}

export interface GraphqlCall {
  readonly query: string
  /** JSON. */
  readonly variables: string
  readonly signal?: AbortSignal | undefined
  /** Defaults to the client's. */
  readonly timeoutMillis?: number | undefined
}

/** The server says something each 15 seconds. */
const SILENCE_MILLIS = 45_000

/** The server's calls, each made once. @throws StatelensError as the server's answer, or its absence, says. */
export interface Api {
  /** @returns the field's value of `data`, whose only field it is. */
  graphql(call: GraphqlCall): Promise<unknown>
  /** @returns all of `data`. */
  query(call: GraphqlCall): Promise<Readonly<Record<string, unknown>>>
  /** A state's bytes, as they come. */
  read(snapshotId: string, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>>
  /** The field's value of each event, until the server says that there are no more; the connection is not opened anew. */
  events(call: Omit<GraphqlCall, 'timeoutMillis'>): AsyncGenerator<unknown, void>
  put(target: PutTarget, body: Outgoing, signal?: AbortSignal): Promise<CaptureResult>
}

export interface ApiOptions {
  readonly url: string
  readonly token: string | undefined
  readonly fetch: typeof globalThis.fetch
  /** For calls that carry little. */
  readonly timeoutMillis: number
}

/** @throws StatelensError `BAD_REQUEST` when no request could be made of the URL or the token. */
export function createApi({ url, token, fetch, timeoutMillis }: ApiOptions): Api {
  const base = baseOf(url)
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw badRequest('The token is none that a header can hold')
  const own = {
    'content-type': 'application/json',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
  const ask = ({ query, variables, signal, ...call }: GraphqlCall) =>
    send(fetch, {
      method: 'POST',
      url: `${base}/graphql`,
      headers: own,
      body: bodyOf({ query, variables }),
      signal,
      timeoutMillis: call.timeoutMillis ?? timeoutMillis,
    })
  return {
    graphql: async (call) => readGraphql(await ask(call)),
    query: async (call) => readData(await ask(call)),
    async read(snapshotId, signal) {
      const url = `${base}/snapshots/${encodeURIComponent(snapshotId)}/payload`
      const response = await receive(fetch, { url, headers: own, signal })
      if (response.status === 200 && response.body) return response.body
      throw failureOf(await answerOf(response))
    },
    events: ({ query, variables, signal }) =>
      readEvents(fetch, {
        url: `${base}/graphql`,
        headers: own,
        body: bodyOf({ query, variables }),
        signal,
        timeoutMillis,
        silenceMillis: SILENCE_MILLIS,
      }),
    async put({ path, headers }, body, signal) {
      const answer = await send(fetch, {
        method: 'PUT',
        url: base + path,
        headers: { ...own, ...headers },
        body,
        signal,
      })
      if (answer.status !== 200 && answer.status !== 201) throw failureOf(answer)
      return readCaptured(parseJson(answer.text), answer)
    },
  }
}

function bodyOf({ query, variables }: Pick<GraphqlCall, 'query' | 'variables'>): string {
  return `{"query":${JSON.stringify(query)},"variables":${variables}}`
}

/** @throws StatelensError `UNEXPECTED_ANSWER` unless it is a capture's answer. */
export function readCaptured(value: unknown, { status }: Pick<HttpAnswer, 'status'>): CaptureResult {
  const whole: unknown = isRecord(value) && isRecord(value['snapshot']) ? { ...value, ...value['snapshot'] } : value
  if (!isCaptured(whole))
    throw new StatelensError('UNEXPECTED_ANSWER', 'The answer is not that of a capture', { status })
  const { snapshotId, seq, sizeBytes, digest, storageTier, created } = whole
  return { snapshotId, seq, sizeBytes, digest, storageTier, created }
}

function isCaptured(value: unknown): value is CaptureResult {
  return isRecord(value) && typeof value['snapshotId'] === 'string' && typeof value['created'] === 'boolean'
}

function baseOf(url: string): string {
  const parsed = URL.parse(url)
  const plain = parsed && /^https?:$/.test(parsed.protocol) && parsed.username + parsed.password + parsed.search === ''
  if (!plain) throw badRequest("url must be the server's address, such as http://127.0.0.1:4000")
  return parsed.href.replace(/#.*$/, '').replace(/\/+$/, '')
}
