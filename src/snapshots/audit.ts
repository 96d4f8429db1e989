import type { Viewer } from '../auth/viewer.ts'
import type { MadeLink } from './links.ts'
import type { Withheld } from './views/payloads.ts'

/** Something that was deleted, or asked to be. */
export interface Deletion {
  readonly viewer: Viewer
  readonly runId?: string
  readonly snapshotId?: string
  /** False when it was not there. */
  readonly deleted: boolean
}

/** Told of what whoever answers for the data wants to find again. */
export interface Audit {
  withheld(withheld: Withheld): void
  link(link: MadeLink): void
  deleted(deletion: Deletion): void
}
