import type { StopSignal } from '../abort.ts'
import { keyOf, type Viewer } from '../auth/viewer.ts'
import type { Reads } from '../db/reads.ts'
import type { AtLeast } from '../model/position.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Spans } from '../telemetry/spans.ts'
import { createAllowedReader } from './allowed-reader.ts'
import { type Authorize, createAllowed } from './authorize.ts'
import type { MayRead } from './may-read.ts'
import { observedReader } from './observed-reader.ts'
import { createReader, type SnapshotReader } from './reader.ts'
import { createSeenReader, seenAs } from './seen-reader.ts'

/** Reads for whoever asks: nobody reads without saying who it is. */
export interface Readers {
  /**
   * The reads of one request: a few statements of it are executed at a time, and the others wait. When the signal fires they all
   * end, in PostgreSQL as well, and what waited for them fails with its reason. What the viewer may not see is not in what comes
   * back: the runs that are not his are not there, and of states that he may not have whole nothing tells what they hide.
   * @param atLeast what has to be seen beside what the viewer wrote himself: a standby that is behind does not show all.
   */
  forViewer(viewer: Viewer, signal?: StopSignal, atLeast?: AtLeast): SnapshotReader
  /** The same of a row that was read for all who may watch: with its tags and its policy. */
  see(viewer: Viewer, snapshot: Snapshot): Snapshot
}

export interface ReadersOptions {
  readonly reads: Pick<Reads, 'share'>
  readonly mayRead: MayRead
  /** Of the application around; undefined: scopes alone decide. */
  readonly authorize?: Authorize | undefined
  /** Undefined while nobody collects traces. */
  readonly spans?: Spans | undefined
}

export function createReaders({ reads, mayRead, authorize, spans }: ReadersOptions): Readers {
  return {
    forViewer(viewer, signal, atLeast) {
      const plain = createReader(reads.share({ signal, viewer: keyOf(viewer), atLeast }))
      const reader = spans ? observedReader(plain, spans) : plain
      const seesAll = viewer.scopes.has('read') && viewer.scopes.has('pii:read')
      const seen = seesAll ? reader : createSeenReader(reader, (snapshot) => mayRead(viewer, snapshot))
      // A link was given by somebody who might.
      return authorize && viewer.mode !== 'link' ? createAllowedReader(seen, createAllowed(authorize, viewer)) : seen
    },
    see: (viewer, snapshot) => seenAs(snapshot, mayRead(viewer, snapshot)),
  }
}
