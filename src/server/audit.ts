import type { Logger } from '../log.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import type { MadeLink } from '../snapshots/links.ts'
import type { Withheld } from '../snapshots/views/payloads.ts'
import { logOfRequest, viewerOfRequest } from './request.ts'

/** Lines of the log for what whoever answers for the data wants to find again: each names the viewer, and the request. */
export interface Audit {
  withheld(withheld: Withheld): void
  link(link: MadeLink): void
  /** The same writer, whose deletes are told. */
  writer(writer: SnapshotWriter): SnapshotWriter
}

export function auditTo(log: Logger): Audit {
  const write = (audit: string, what: object) =>
    logOfRequest(log).info({ audit, viewer: viewerOfRequest()?.name, ...what }, 'audit')
  return {
    withheld: ({ snapshotId, policy }) => write(policy === undefined ? 'denied' : 'masked', { snapshotId, policy }),
    link: ({ snapshotId, access, direct, expiresAt }) => write('link', { snapshotId, access, direct, expiresAt }),
    writer: (writer) => ({
      ...writer,
      async deleteRun(runId) {
        const result = await writer.deleteRun(runId)
        write('deleted', { runId, ...result })
        return result
      },
      async deleteSnapshot(snapshotId) {
        const result = await writer.deleteSnapshot(snapshotId)
        write('deleted', { snapshotId, ...result })
        return result
      },
    }),
  }
}
