import { copyFile, link, open } from 'node:fs/promises'

/** The calls that file systems differ in: some know no second name for a file, no clone of one, and no fsync of a folder. */
export interface FileSystem {
  readonly link: typeof link
  readonly copyFile: typeof copyFile
  readonly open: typeof open
}

export const NODE_FILE_SYSTEM: FileSystem = { link, copyFile, open }

/** What `link` fails with where the file system knows none, or no more of this file, or none to there. */
export const NO_LINK = ['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'EXDEV'] as const
