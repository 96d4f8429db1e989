/** A file that is not what it was when it was written, or never was one that can be taken. What was taken of it before stays. */
export class DamagedFileError extends Error {
  override readonly name = 'DamagedFileError'
  readonly code = 'FILE_DAMAGED'
}
