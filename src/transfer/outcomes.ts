/** What became of one state. */
export const OUTCOMES = ['taken', 'there already', 'not in the file', 'refused'] as const
export type Outcome = (typeof OUTCOMES)[number]

export interface Taken {
  readonly outcome: Outcome
  /** What it is called where it comes from. */
  readonly name: string
  readonly runId: string
  /** Bytes of a state that was taken, or would be. */
  readonly sizeBytes?: number
  /** Why it was refused. */
  readonly code?: string
}
