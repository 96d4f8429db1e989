import type { StopSignal } from '../abort.ts'
import type { Viewer } from '../auth/viewer.ts'
import type { Uploads } from '../snapshots/capture/uploads.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import type { Links } from '../snapshots/links.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { Verifier } from '../snapshots/upkeep/verifier.ts'
import type { Payloads } from '../snapshots/views/payloads.ts'
import { createDeadline, type Deadline } from './deadline.ts'

/** What every request shares. */
export interface Services {
  readonly reader: SnapshotReader
  readonly writer: SnapshotWriter
  readonly payloads: Payloads
  readonly verifier: Verifier
  readonly links: Links
  readonly uploads: Uploads
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
  /** Told of every failure whose cause they do not see. */
  report?(error: unknown): void
}

/** Built once an operation; nothing in it outlives the answer. Its reader is the operation's own. */
export interface Context extends Services {
  readonly viewer: Viewer
  /** Fires when nobody waits any more, or the time of the operation is over. */
  readonly signal: AbortSignal
  /** What the loaders of the operation remember; emptied by each of its mutations. */
  readonly memory: Map<object, unknown>
}

/** @param millis how long it may take until the deadline is told that it is done; undefined: as long as it takes. */
export function createContext(
  services: Services,
  asker: Asker,
  millis: number | undefined,
): { readonly context: Context; readonly deadline: Deadline } {
  const deadline = createDeadline({ client: () => asker.departure ?? asker.signal, millis })
  return { context: new OperationContext(services, asker.viewer, deadline), deadline }
}

/** A class, since each operation has one, and most ask for little of it. */
class OperationContext implements Context {
  readonly writer: SnapshotWriter
  readonly payloads: Payloads
  readonly verifier: Verifier
  readonly links: Links
  readonly uploads: Uploads
  readonly payloadMaxBytes: number
  readonly viewer: Viewer
  readonly memory = new Map<object, unknown>()
  readonly #reads: SnapshotReader
  readonly #deadline: Deadline
  #reader: SnapshotReader | undefined

  constructor(services: Services, viewer: Viewer, deadline: Deadline) {
    this.writer = services.writer
    this.payloads = services.payloads
    this.verifier = services.verifier
    this.links = services.links
    this.uploads = services.uploads
    this.payloadMaxBytes = services.payloadMaxBytes
    this.viewer = viewer
    this.#reads = services.reader
    this.#deadline = deadline
  }

  get reader(): SnapshotReader {
    this.#reader ??= this.#reads.forRequest(this.#deadline.stop)
    return this.#reader
  }

  get signal(): AbortSignal {
    return this.#deadline.signal
  }
}
