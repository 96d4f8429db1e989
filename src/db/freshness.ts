/** Up to where the log of the database was written when a viewer had written something. */
export interface WriteMark {
  readonly viewer: string
  /** As PostgreSQL writes it: `16/B374D848`. */
  readonly position: string
}
