import type { StopSignal } from '../abort.ts'
import type { Viewer } from '../auth/viewer.ts'
import type { Events } from '../events/events.ts'
import type { Audit } from '../snapshots/audit.ts'
import { type Authorize, changesFor } from '../snapshots/authorize.ts'
import type { Uploads } from '../snapshots/capture/uploads.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import type { Links } from '../snapshots/links.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { Readers } from '../snapshots/readers.ts'
import type { Verifier } from '../snapshots/upkeep/verifier.ts'
import type { Parts, RequestParts } from '../snapshots/views/parts.ts'
import type { Payloads } from '../snapshots/views/payloads.ts'
import { createDeadline, type Deadline } from './deadline.ts'

/** What every request shares. */
export interface Services {
  readonly readers: Readers
  readonly writer: SnapshotWriter
  readonly payloads: Payloads
  readonly parts: Parts
  readonly verifier: Verifier
  readonly links: Links
  readonly uploads: Uploads
  readonly events: Events
  readonly audit?: Pick<Audit, 'deleted' | 'held' | 'golden'> | undefined
  /** Of the application around; undefined: scopes alone decide. */
  readonly authorize?: Authorize | undefined
  /** What states are masked by now: another object after each change of it. */
  readonly policies?: (() => object) | undefined
  /** Largest payload in one answer, in bytes. */
  readonly payloadMaxBytes: number
}

/** Who asks, and whether they wait. */
export interface Asker {
  readonly viewer: Viewer
  /** Fires when the client has gone. */
  readonly signal: AbortSignal
  /** The same, where there is one that costs less. */
  readonly departure?: StopSignal
  /** Asks once more who they are, for an answer that lasts. @throws AppError `UNAUTHENTICATED`, `FORBIDDEN`. */
  recheck?(): Promise<void>
  /** Told of every failure whose cause they do not see. */
  report?(error: unknown): void
}

/** Built once an operation; nothing in it outlives the answer. Its reader is the operation's own, and its viewer's. */
export interface Context extends Omit<Services, 'parts' | 'policies'> {
  readonly reader: SnapshotReader
  readonly viewer: Viewer
  /** The operation's own. */
  readonly parts: RequestParts
  /** Fires when nobody waits any more, or the time of the operation is over. */
  readonly signal: AbortSignal
  /** What the loaders of the operation remember; emptied by each of its mutations. */
  readonly memory: Map<object, unknown>
}

export interface ContextOfOperation {
  readonly context: Context
  readonly deadline: Deadline
  /** Lets go of what its fields held, once all of them are resolved. */
  close(): void
}

/** @param millis how long it may take until the deadline is told that it is done; undefined: as long as it takes. */
export function createContext(services: Services, asker: Asker, millis: number | undefined): ContextOfOperation {
  const deadline = createDeadline({ client: () => asker.departure ?? asker.signal, millis })
  const context = new OperationContext(services, asker.viewer, deadline)
  return { context, deadline, close: () => context.close() }
}

/** A class, since each operation has one, and most ask for little of it. */
class OperationContext implements Context {
  readonly readers: Readers
  readonly writer: SnapshotWriter
  readonly payloads: Payloads
  readonly verifier: Verifier
  readonly links: Links
  readonly uploads: Uploads
  readonly events: Events
  readonly audit: Services['audit']
  readonly authorize: Authorize | undefined
  readonly payloadMaxBytes: number
  readonly viewer: Viewer
  readonly memory = new Map<object, unknown>()
  readonly #states: Parts
  readonly #deadline: Deadline
  #reader: SnapshotReader | undefined
  #parts: RequestParts | undefined

  constructor(services: Services, viewer: Viewer, deadline: Deadline) {
    const { authorize } = services
    const { writer, uploads } = authorize ? changesFor(services, authorize, viewer) : services
    this.readers = services.readers
    this.writer = writer
    this.payloads = services.payloads
    this.verifier = services.verifier
    this.links = services.links
    this.uploads = uploads
    this.events = services.events
    this.audit = services.audit
    this.authorize = authorize
    this.payloadMaxBytes = services.payloadMaxBytes
    this.viewer = viewer
    this.#states = services.parts
    this.#deadline = deadline
  }

  get reader(): SnapshotReader {
    this.#reader ??= this.readers.forViewer(this.viewer, this.#deadline.stop)
    return this.#reader
  }

  get parts(): RequestParts {
    this.#parts ??= this.#states.forViewer(this.viewer, this.#deadline.signal)
    return this.#parts
  }

  get signal(): AbortSignal {
    return this.#deadline.signal
  }

  close(): void {
    this.#parts?.close()
  }
}
