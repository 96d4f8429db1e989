import { LINK_HOLDERS, requireScope, type Viewer } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'
import { isUuid } from '../model/ids.ts'
import { SNAPSHOT_METADATA, type Snapshot } from '../model/snapshot.ts'
import type { Links } from '../snapshots/links.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { Readers } from '../snapshots/readers.ts'
import type { RequestContext } from './request.ts'

/** What is asked for, and by whose right. */
export interface AskedSnapshot {
  readonly snapshot: Snapshot
  readonly viewer: Viewer
  readonly disposition: 'attachment' | 'inline'
  readonly filename: string | null
}

export interface FindAskedOptions {
  readonly readers: { forViewer(...asked: Parameters<Readers['forViewer']>): Pick<SnapshotReader, 'loadSnapshots'> }
  readonly links: Pick<Links, 'verify' | 'missing'>
}

/**
 * Finds the snapshot that the first part of a path names.
 * @param link its signed query; empty: the viewer's own right counts.
 * @throws AppError `NOT_FOUND`, `UNAUTHENTICATED`, `FORBIDDEN`, and of a link what `Links` throw.
 */
export type FindAsked = (context: RequestContext, link: string) => Promise<AskedSnapshot>

type SnapshotsReader = Pick<SnapshotReader, 'loadSnapshots'>

/** The snapshot that a path or a query names. @throws AppError `NOT_FOUND`. */
export async function findSnapshot(reader: SnapshotsReader, snapshotId: string): Promise<Snapshot> {
  const snapshot = await lookFor(reader, snapshotId)
  if (!snapshot) throw new AppError('NOT_FOUND', 'There is no such snapshot')
  return snapshot
}

async function lookFor(reader: SnapshotsReader, snapshotId: string): Promise<Snapshot | undefined> {
  const [snapshot] = isUuid(snapshotId) ? await reader.loadSnapshots([snapshotId], SNAPSHOT_METADATA) : []
  return snapshot
}

export function createFindAsked({ readers, links }: FindAskedOptions): FindAsked {
  async function findForViewer({ params, viewer, signal, after }: RequestContext): Promise<AskedSnapshot> {
    requireScope(viewer, 'read')
    const snapshot = await findSnapshot(readers.forViewer(viewer, signal, after), params[0] ?? '')
    return { ...PLAIN, snapshot, viewer }
  }

  /** By the right that a link carries, which is spelled in one way. Whoever made it saw the state: it must be there. */
  async function findByLink({ params, signal }: RequestContext, link: string): Promise<AskedSnapshot> {
    const snapshotId = params[0] ?? ''
    const snapshot = await lookFor(readers.forViewer(LINK_HOLDERS.whole, signal, 'all'), snapshotId)
    if (snapshot?.snapshotId !== snapshotId) throw links.missing(link, snapshotId)
    const { access, ...presentation } = links.verify(link, snapshot)
    return { ...presentation, snapshot, viewer: LINK_HOLDERS[access] }
  }

  return (context, link) => (link === '' ? findForViewer(context) : findByLink(context, link))
}

const PLAIN = { disposition: 'inline', filename: null } as const
