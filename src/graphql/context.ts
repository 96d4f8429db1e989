import type { Viewer } from '../auth/viewer.ts'
import type { Uploads } from '../snapshots/capture/uploads.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import type { Links } from '../snapshots/links.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { Verifier } from '../snapshots/upkeep/verifier.ts'
import type { Parts, RequestParts } from '../snapshots/views/parts.ts'
import type { Payloads } from '../snapshots/views/payloads.ts'
import { createDeadline, type Deadline } from './deadline.ts'

/** What every request shares. */
export interface Services {
  readonly reader: SnapshotReader
  readonly writer: SnapshotWriter
  readonly payloads: Payloads
  readonly parts: Parts
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
}

/** Built once an operation; nothing in it outlives the answer. Its reader is the operation's own. */
export interface Context extends Omit<Services, 'parts'> {
  readonly viewer: Viewer
  /** The operation's own. */
  readonly parts: RequestParts
  /** Fires when nobody waits any more, or the time of the operation is over. */
  readonly signal: AbortSignal
}

export interface ContextOfOperation {
  readonly context: Context
  readonly deadline: Deadline
  /** Lets go of what its fields held, once all of them are resolved. */
  close(): void
}

/** @param millis how long it may take until the deadline is told that it is done; undefined: as long as it takes. */
export function createContext(services: Services, asker: Asker, millis: number | undefined): ContextOfOperation {
  const deadline = createDeadline({ client: () => asker.signal, millis })
  let reader: SnapshotReader | undefined
  let parts: RequestParts | undefined
  const context: Context = {
    ...services,
    viewer: asker.viewer,
    get reader() {
      reader ??= services.reader.forRequest(deadline.signal)
      return reader
    },
    get parts() {
      parts ??= services.parts.forRequest(deadline.signal)
      return parts
    },
    get signal() {
      return deadline.signal
    },
  }
  return { context, deadline, close: () => parts?.close() }
}
