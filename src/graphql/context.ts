import type { StopSignal } from '../abort.ts'
import type { Viewer } from '../auth/viewer.ts'
import type { Events } from '../events/events.ts'
import type { AtLeast, Position } from '../model/position.ts'
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
import { SILENT, type Telemetry } from '../telemetry/telemetry.ts'
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
  /** Told when a viewer has written something. @returns what others have to name to see it; undefined where nobody has to. */
  readonly noteWrite?: ((viewer: Viewer) => Promise<Position | undefined>) | undefined
  /** Of the application around; undefined: scopes alone decide. */
  readonly authorize?: Authorize | undefined
  /** What states are masked by now: another object after each change of it. */
  readonly policies?: (() => object) | undefined
  /** Largest payload in one answer, in bytes. */
  readonly payloadMaxBytes: number
  /** Nobody is told when it is left out. */
  readonly telemetry?: Telemetry
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
  /** How long they would wait at most for what takes its time, in milliseconds; undefined: as long as is usual. */
  readonly patienceMillis?: number | undefined
  /** What they have to see, beside what they wrote themselves. */
  readonly after?: AtLeast
  /** Has their answer name up to where they wrote. */
  wrote?(position: Position): void
  /** Told of every failure whose cause they do not see. */
  report?(error: unknown): void
}

/** Built once an operation; nothing in it outlives the answer. Its reader is the operation's own, and its viewer's. */
export interface Context extends Omit<Services, 'parts' | 'policies' | 'noteWrite' | 'telemetry'> {
  readonly telemetry: Telemetry
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

export interface ContextOptions {
  /** How long it may take until the deadline is told that it is done; undefined: as long as it takes. */
  readonly millis: number | undefined
  /** What it has to see. */
  readonly atLeast: AtLeast
}

export function createContext(
  services: Services,
  asker: Asker,
  { millis, atLeast }: ContextOptions,
): ContextOfOperation {
  const deadline = createDeadline({ client: () => asker.departure ?? asker.signal, millis })
  const context = new OperationContext(services, asker, { deadline, atLeast })
  return { context, deadline, close: () => context.close() }
}

interface Limits {
  readonly deadline: Deadline
  readonly atLeast: AtLeast
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
  readonly telemetry: Telemetry
  readonly viewer: Viewer
  readonly memory = new Map<object, unknown>()
  readonly #states: Parts
  readonly #deadline: Deadline
  readonly #asker: Asker
  readonly #atLeast: AtLeast
  #reader: SnapshotReader | undefined
  #parts: RequestParts | undefined

  constructor(services: Services, asker: Asker, { deadline, atLeast }: Limits) {
    const { authorize } = services
    const { viewer } = asker
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
    this.telemetry = services.telemetry ?? SILENT
    this.viewer = viewer
    this.#states = services.parts
    this.#deadline = deadline
    this.#asker = asker
    this.#atLeast = atLeast
  }

  get reader(): SnapshotReader {
    this.#reader ??= this.readers.forViewer(this.viewer, this.#deadline.stop, this.#atLeast)
    return this.#reader
  }

  get parts(): RequestParts {
    this.#parts ??= this.#states.forViewer(this.viewer, this.#deadline.signal, this.#asker.patienceMillis)
    return this.#parts
  }

  get signal(): AbortSignal {
    return this.#deadline.signal
  }

  close(): void {
    this.#parts?.close()
  }
}
