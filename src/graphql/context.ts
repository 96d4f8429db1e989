import type { Viewer } from '../auth/viewer.ts'
import type { Uploads } from '../snapshots/capture/uploads.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import type { Links } from '../snapshots/links.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { Verifier } from '../snapshots/upkeep/verifier.ts'
import type { Payloads } from '../snapshots/views/payloads.ts'

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

/** Built once a request; nothing in it outlives the request. */
export interface Context extends Services {
  readonly viewer: Viewer
  /** Fires when the client has gone. */
  readonly signal: AbortSignal
}
