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

/** A run that was put under legal hold, or let go. */
export interface Hold {
  readonly viewer: Viewer
  readonly runId: string
  readonly hold: boolean
}

/** A state that was approved as a reference. */
export interface Golden {
  readonly viewer: Viewer
  readonly snapshotId: string
  readonly source: string
}

/** What went because it was past its end; nobody asked for it. */
export interface Expiry {
  readonly runId: string
  /** Whether the run went, or states of it alone. */
  readonly isRun: boolean
  readonly states: number
}

/** Told of what whoever answers for the data wants to find again. */
export interface Audit {
  withheld(withheld: Withheld): void
  link(link: MadeLink): void
  deleted(deletion: Deletion): void
  held(hold: Hold): void
  golden(golden: Golden): void
  expired(expiry: Expiry): void
}
