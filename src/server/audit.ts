import type { Viewer } from '../auth/viewer.ts'
import type { Logger } from '../log.ts'
import type { Audit } from '../snapshots/audit.ts'

/** Lines of the log, each of which names the viewer. */
export function auditTo(log: Logger): Audit {
  const write = (audit: string, { name, mode }: Viewer, what: object) =>
    log.info({ audit, viewer: name ?? mode, ...what }, 'audit')
  return {
    withheld: ({ viewer, snapshotId, policy }) =>
      write(policy === undefined ? 'denied' : 'masked', viewer, { snapshotId, policy }),
    link: ({ viewer, snapshotId, access, direct, expiresAt }) =>
      write('link', viewer, { snapshotId, access, direct, expiresAt }),
    deleted: ({ viewer, ...deletion }) => write('deleted', viewer, deletion),
    held: ({ viewer, ...hold }) => write('held', viewer, hold),
    golden: ({ viewer, ...golden }) => write('golden', viewer, golden),
    expired: (expiry) => log.info({ audit: 'expired', ...expiry }, 'audit'),
  }
}
