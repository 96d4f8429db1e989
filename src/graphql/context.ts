import type { Viewer } from '../auth/viewer.ts'
import type { Audit } from '../snapshots/audit.ts'
import { type Authorize, changesFor } from '../snapshots/authorize.ts'
import type { Uploads } from '../snapshots/capture/uploads.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import type { Links } from '../snapshots/links.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { Readers } from '../snapshots/readers.ts'
import type { Verifier } from '../snapshots/upkeep/verifier.ts'
import type { Payloads } from '../snapshots/views/payloads.ts'
import { createDeadline, type Deadline } from './deadline.ts'

/** What every request shares. */
export interface Services {
  readonly readers: Readers
  readonly writer: SnapshotWriter
  readonly payloads: Payloads
  readonly verifier: Verifier
  readonly links: Links
  readonly uploads: Uploads
  readonly audit?: Pick<Audit, 'deleted'>
  /** Of the application around; undefined: scopes alone decide. */
  readonly authorize?: Authorize | undefined
  /** Largest payload in one answer, in bytes. */
  readonly payloadMaxBytes: number
}

/** Who asks, and whether they wait. */
export interface Asker {
  readonly viewer: Viewer
  /** Fires when the client has gone. */
  readonly signal: AbortSignal
}

/** Built once an operation; nothing in it outlives the answer. Its reader is the operation's own, and its viewer's. */
export interface Context extends Services {
  readonly reader: SnapshotReader
  readonly viewer: Viewer
  /** Fires when nobody waits any more, or the time of the operation is over. */
  readonly signal: AbortSignal
}

/** @param millis how long it may take until the deadline is told that it is done; undefined: as long as it takes. */
export function createContext(
  services: Services,
  asker: Asker,
  millis: number | undefined,
): { readonly context: Context; readonly deadline: Deadline } {
  const deadline = createDeadline({ client: () => asker.signal, millis })
  let reader: SnapshotReader | undefined
  const context: Context = {
    ...services,
    ...(services.authorize && changesFor(services, services.authorize, asker.viewer)),
    viewer: asker.viewer,
    get reader() {
      reader ??= services.readers.forViewer(asker.viewer, deadline.signal)
      return reader
    },
    get signal() {
      return deadline.signal
    },
  }
  return { context, deadline }
}
