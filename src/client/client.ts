import { randomUUID } from 'node:crypto'
import { type CaptureResult, createApi } from './api.ts'
import { captureBy } from './capture.ts'
import { badRequest, StatelensError } from './errors.ts'
import { openPayload, type Payload } from './payload.ts'
import { type CaptureProgress, createProgressMeter } from './progress.ts'
import type { CaptureRequest } from './request.ts'
import { withRetries } from './retry.ts'
import type { RunEvent, WatchedRun } from './run-events.ts'
import { type RunChange, type StepChange, upsertRun, upsertStep } from './upserts.ts'
import { type WatchOptions, waitForRun, watchRun } from './watch.ts'

export type { CaptureResult } from './api.ts'
export type { ByteStream, Payload } from './payload.ts'
export type { CaptureProgress } from './progress.ts'
export type { CaptureRequest } from './request.ts'
export type { RunEvent, RunStatus, StepStatus, WatchedRun, WatchedSnapshot, WatchedStep } from './run-events.ts'
export type { ErrorChange, RunChange, StepChange } from './upserts.ts'
export type { WatchOptions } from './watch.ts'
// Beside `createClient` the one value that callers name.
export { StatelensError }

const KIB = 1024
const MIB = 1_048_576

export interface ClientOptions {
  /** The server's address, such as `http://127.0.0.1:4000`. */
  readonly url: string
  /** Sent to the server as `Authorization: Bearer`, and to nobody else. */
  readonly token?: string | undefined
  /** Stands in for the global one. */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** How often a call that fails in passing is repeated; default 4. */
  readonly retries?: number | undefined
  /**
   * How long a call that carries little may take before it counts as failed; default 30 seconds. A commit is asked for again after
   * twice as long, and given up after four times as long and a second for each MiB that was sent.
   */
  readonly timeoutMillis?: number | undefined
  /** Values up to this size go by the mutation, in one small request; default 256 KiB. The server takes some 2.5 MiB. */
  readonly mutationMaxBytes?: number | undefined
  /** From this size on the bytes go to the object store themselves; default 8 MiB. Infinity for never, where PUT can do it. */
  readonly directMinBytes?: number | undefined
  /** How many parts of a very large payload are sent at once; default 3. */
  readonly parallelParts?: number | undefined
  /** How long the store accepts a direct upload; default an hour, longer for what takes longer at a MiB a second: a day at most. */
  readonly ticketSeconds?: number | undefined
}

export interface CallOptions {
  /** Ends the call, whatever it is doing, with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export interface CaptureOptions extends CallOptions {
  /** Told while bytes are sent, never with fewer than before, and in the end with all of them. */
  readonly onProgress?: ((progress: CaptureProgress) => void) | undefined
}

/** Records runs, steps and states with a statelens server, and watches them. Between calls it holds nothing open: there is nothing to close. */
export interface Client {
  /**
   * Stores a state, by the way that fits it: a small value by the mutation, what is larger by PUT, what is large by direct
   * upload to the object store; by PUT as well where the store cannot be reached from here. Bytes, blobs and streams are kept
   * byte for byte, in constant memory. Whatever fails in passing is repeated, under one idempotency key, and stored once.
   *
   * A stream always goes by PUT: it needs a `stepId`, and cannot have `metadata`. Begun, it is read to its end
   * or closed; it is not begun twice, unless it comes as a function.
   * @throws StatelensError of the server's code; `NETWORK` when retries did not help: the same capture under the same key may
   * then be sent again. `BAD_REQUEST` and `INVALID_PAYLOAD` for what cannot be stored. The signal's reason, and what a stream throws.
   */
  capture(request: CaptureRequest, payload: Payload, options?: CaptureOptions): Promise<CaptureResult>
  /** Creates a run, or changes what is named. @throws StatelensError. */
  upsertRun(change: RunChange, options?: CallOptions): Promise<void>
  /** Creates a step, or changes what is named. @throws StatelensError. */
  upsertStep(change: StepChange, options?: CallOptions): Promise<void>
  /**
   * Executes an operation of GraphQL, again where it fails in passing: of mutations therefore only those that may run twice. What it answers is
   * parsed: numbers that JavaScript cannot hold are rounded, and `read` has the bytes.
   * @throws StatelensError of its first error.
   */
  query<Data = Readonly<Record<string, unknown>>>(
    document: string,
    variables?: Readonly<Record<string, unknown>>,
    options?: CallOptions,
  ): Promise<Data>
  /**
   * A state's bytes, as they were captured, while they come: a stream that breaks does not end.
   * @throws StatelensError such as `NOT_FOUND`, `FORBIDDEN`, `OBJECT_MISSING`; what may pass only after `retries` failures.
   */
  read(snapshotId: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>>
  /**
   * What happened in a run, and what happens, until it ends: each event at least once, none twice within the last 10,000 snapshots,
   * snapshots in nearly the order of their `seq`. A connection that breaks is opened anew, where it broke, after 0.1 to 10 seconds; so is
   * one on which nothing came for 45. Leave the loop, and it lets go. A run that is not there is waited for.
   * @throws StatelensError what the server says against it, such as `BAD_REQUEST` for a cursor of another run; what may pass only after
   * `retries` failures in a row. The signal's reason.
   */
  watchRun(runId: string, options?: WatchOptions): AsyncIterable<RunEvent>
  /**
   * Resolves with the run once it has ended, however it did: at once for one that is over.
   * @throws StatelensError as `watchRun` does; `NOT_FOUND` when the run is deleted before.
   */
  waitForRun(runId: string, options?: WatchOptions): Promise<WatchedRun>
}

/** @throws StatelensError `BAD_REQUEST` for a URL or a token that no request could be made with, or a limit that is none. */
export function createClient(options: ClientOptions): Client {
  const { url, token, fetch = globalThis.fetch, ticketSeconds } = options
  const { retries = 4, timeoutMillis = 30_000, parallelParts = 3 } = options
  const { mutationMaxBytes = 256 * KIB, directMinBytes = 8 * MIB } = options
  const limits = { retries, timeoutMillis, parallelParts, mutationMaxBytes, directMinBytes }
  for (const [name, limit] of Object.entries(limits)) {
    if (!(limit >= (name === 'parallelParts' ? 1 : 0))) throw badRequest(`${name} is out of range`)
  }
  const api = createApi({ url, token, fetch, timeoutMillis })
  return {
    async capture(request, payload, { signal, onProgress } = {}) {
      signal?.throwIfAborted()
      if (typeof request.runId !== 'string') throw badRequest('runId is missing')
      const source = openPayload(payload)
      const meter = createProgressMeter(source.sizeBytes, onProgress)
      const named = { ...request, idempotencyKey: request.idempotencyKey ?? randomUUID() }
      const result = await captureBy(
        { ...limits, api, fetch, ticketSeconds },
        { request: named, source, meter, signal },
      )
      meter.finish(result.sizeBytes)
      return result
    },
    upsertRun: (change, { signal } = {}) => upsertRun(change, { api, retries, signal }),
    upsertStep: (change, { signal } = {}) => upsertStep(change, { api, retries, signal }),
    async query<Data>(document: string, variables = {}, { signal }: CallOptions = {}): Promise<Data> {
      const call = { query: document, variables: JSON.stringify(variables), signal }
      return (await withRetries(() => api.query(call), { retries, signal })) as Data
    },
    read: (snapshotId, { signal } = {}) => withRetries(() => api.read(snapshotId, signal), { retries, signal }),
    watchRun: (runId, watching = {}) => watchRun(api, runId, watching),
    waitForRun: (runId, watching = {}) => waitForRun(api, runId, watching),
  }
}
