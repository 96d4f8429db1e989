import type { IncomingHttpHeaders, IncomingMessage, RequestListener } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import type { Scope } from '../auth/scopes.ts'
import type { CallOptions, CaptureRequest, CaptureResult, Payload, RunChange, StepChange } from '../client/client.ts'
import type { Run, RunFilter } from '../model/run.ts'
import type { Snapshot, SnapshotFilter } from '../model/snapshot.ts'
import type { Step } from '../model/step.ts'

/** A run. Moments are RFC 3339 in UTC, with up to six digits of a second. */
export type RunRecord = Run

export type StepRecord = Omit<Step, 'ordinal' | 'newest'>

/** What is known of a state without reading it. */
export type SnapshotRecord = Pick<
  Snapshot,
  | 'snapshotId'
  | 'runId'
  | 'stepId'
  | 'attempt'
  | 'seq'
  | 'kind'
  | 'createdAt'
  | 'isSuccessState'
  | 'isGolden'
  | 'replaySafe'
  | 'piiTags'
  | 'redactionPolicy'
  | 'sizeBytes'
  | 'digest'
  | 'contentType'
  | 'storageState'
  | 'preview'
  | 'expiresAt'
> & {
  /** JSON, parsed. */
  readonly metadata: unknown
}

export interface ReadOptions {
  /** Ends the reading, in the database and in storage as well, with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** A state that is being read. */
export interface OpenState {
  readonly snapshot: SnapshotRecord
  /** Null where masked: its end tells. */
  readonly sizeBytes: number | null
  /** Byte for byte as it was captured, but for what is masked. To be read to its end, or destroyed. A broken one never ends cleanly. */
  readonly body: Readable
}

/**
 * Reads what was recorded, as one viewer may see it. Lists are read a page at a time while they are walked, and what comes in meanwhile may
 * be among them. All methods reject with errors that have a `code`: `DATABASE_UNAVAILABLE`, `DATABASE_TIMEOUT`, `OVERLOADED`, and
 * `BAD_REQUEST` for ids that are none.
 */
export interface StatelensReader {
  run(runId: string, options?: ReadOptions): Promise<RunRecord | null>
  /** Newest first. */
  runs(filter?: RunFilter, options?: ReadOptions): AsyncIterable<RunRecord>
  step(runId: string, stepId: string, options?: ReadOptions): Promise<StepRecord | null>
  /** In step order. */
  steps(runId: string, options?: ReadOptions): AsyncIterable<StepRecord>
  snapshot(snapshotId: string, options?: ReadOptions): Promise<SnapshotRecord | null>
  /** Of a run, or of one of its steps, in order of capture. */
  snapshots(runId: string, filter?: SnapshotFilter, options?: ReadOptions): AsyncIterable<SnapshotRecord>
  /** The newest of a run, or of one of its steps; null where there is none. */
  latest(place: { runId: string; stepId?: string }, options?: ReadOptions): Promise<SnapshotRecord | null>
  /**
   * Opens a state of any size.
   * @throws as well `NOT_FOUND`, `FORBIDDEN`, `OBJECT_MISSING`, `OBJECT_CORRUPT`, `STORAGE_UNAVAILABLE`, `STORAGE_TIMEOUT`.
   */
  open(snapshotId: string, options?: ReadOptions): Promise<OpenState>
}

/** Records runs, steps and states in this process, with the words of `statelens/client`. */
export interface StatelensWriter {
  /**
   * Stores a state of any size, byte for byte and in constant memory.
   * @throws what its stream throws; errors with a `code`: `INVALID_PAYLOAD`, `CONFLICT` when the id or the key is taken by other content,
   * `BAD_REQUEST`, `STORAGE_UNAVAILABLE`, `OVERLOADED`, `DATABASE_UNAVAILABLE`: then repeat it with the same key.
   */
  capture(request: CaptureRequest, payload: Payload, options?: CallOptions): Promise<CaptureResult>
  /** Creates a run, or changes what is named. */
  upsertRun(change: RunChange): Promise<void>
  /** Creates a step, or changes what is named. */
  upsertStep(change: StepChange): Promise<void>
  /** @returns whether it was there. */
  deleteSnapshot(snapshotId: string): Promise<boolean>
  deleteRun(runId: string): Promise<boolean>
}

/** Who asks, as the application knows him. */
export interface LibraryViewer {
  /** What logs call him: never a secret. */
  readonly name: string
  readonly scopes: readonly Scope[]
}

export interface StatelensConfig {
  /**
   * The settings of the server, by their names, such as `DATABASE_URL`; the environment is not read. Without `DATABASE_URL` a database is
   * started in `DATA_DIR`. `PUBLIC_URL` is where clients reach what is mounted, its path with it. Left out: the log shows warnings alone.
   */
  readonly settings?: { readonly [setting: string]: string | number | boolean | undefined }
  /** Brings the database to this version's tables first; false: it must have them. Default false. */
  readonly migrate?: boolean
  /** Where the lines of the log go, each JSON; standard output when left out. */
  readonly log?: { write(line: string): void }
  /** Tells who sends a request, where the application knows; null for nobody. Left out: `AUTH_MODE` decides. What it throws is hidden. */
  readonly identify?: (request: {
    readonly headers: IncomingHttpHeaders
  }) => LibraryViewer | null | Promise<LibraryViewer | null>
  /** Decides by run, beside the scopes; lists then hold only the runs that it allows. */
  readonly authorize?: (
    viewer: { readonly name: string | null; readonly scopes: ReadonlySet<Scope> },
    action: 'read' | 'write' | 'delete',
    run: { readonly runId: string },
  ) => boolean | Promise<boolean>
}

export interface GraphqlRequest {
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>>
  readonly operationName?: string
  /** Who asks; the application itself, with all rights, when left out. */
  readonly viewer?: LibraryViewer
  readonly signal?: AbortSignal
}

/** Parsed: numbers that JavaScript cannot hold are rounded. `fetch` has the bytes. */
export interface GraphqlAnswer<Data> {
  readonly data?: Data | null
  readonly errors?: readonly {
    readonly message: string
    readonly path?: readonly (string | number)[]
    readonly extensions?: { readonly code?: string; readonly [name: string]: unknown }
  }[]
}

/** A whole server inside an application. */
export interface Statelens {
  /** For `node:http`, and whatever hands on its requests and responses: no body may have been read before. */
  readonly handler: RequestListener
  /** For the event `upgrade` of `node:http`: subscriptions over WebSocket. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** For servers of `fetch`, and for calls out of the application itself. */
  fetch(request: Request): Promise<Response>
  graphql<Data = Record<string, unknown>>(request: GraphqlRequest): Promise<GraphqlAnswer<Data>>
  readonly writer: StatelensWriter
  /** Reads as the application itself, with all rights. */
  readonly reader: StatelensReader
  /** Reads as somebody may. */
  readerFor(viewer: LibraryViewer): StatelensReader
  /** Lets go of all that it holds. Requests that are still under way fail. */
  close(): Promise<void>
}
