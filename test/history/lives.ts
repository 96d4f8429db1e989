/** How long a state is to stay, beside those who delete it. Times are of `performance.now()`. */
export interface Life {
  readonly snapshotId: string
  readonly runId: string
  /** Null for ever. */
  readonly endsAt: number | null
}

/** What keeps states past their end: approvals for good, and legal holds of runs. */
export interface Lives {
  /** @returns to be called when it is done, or may be. */
  approve(snapshotId: string): EndChange
  hold(runId: string, hold: boolean): EndChange
  /** Whether it may have gone by itself, as of now. */
  mayBeOver(life: Life): boolean
  /** Whether nothing kept it, so that a pass must have taken it. */
  mustBeOver(life: Life): boolean
  /** Whether anybody has ever tried to hold it. */
  mayBeHeld(runId: string): boolean
  /** Whether it was held before `start`, and nobody has tried to let it go since. */
  isHeld(runId: string, start: number): boolean
}

export type EndChange = (isAcknowledged: boolean) => void

interface Change {
  readonly isKept: boolean
  /** Infinity where nobody knows. */
  end: number
}

/** Between the clock here and that of the database. */
const MARGIN_MS = 100

export function createLives(): Lives {
  const approvals = new Map<string, Change[]>()
  const holds = new Map<string, Change[]>()

  function change(changes: Map<string, Change[]>, id: string, isKept: boolean): EndChange {
    const begun: Change = { isKept, end: Number.POSITIVE_INFINITY }
    changes.set(id, [...(changes.get(id) ?? []), begun])
    return (isAcknowledged) => {
      if (isAcknowledged) begun.end = performance.now()
    }
  }

  const isKeptSince = (changes: readonly Change[] | undefined, time: number): boolean =>
    changes?.some(({ end }) => end < time) === true && changes.every(({ isKept }) => isKept)

  return {
    approve: (snapshotId) => change(approvals, snapshotId, true),
    hold: (runId, hold) => change(holds, runId, hold),
    mayBeOver({ snapshotId, runId, endsAt }) {
      if (endsAt === null || performance.now() < endsAt - MARGIN_MS) return false
      const before = endsAt - MARGIN_MS
      return !isKeptSince(approvals.get(snapshotId), before) && !isKeptSince(holds.get(runId), before)
    },
    mustBeOver({ snapshotId, runId, endsAt }) {
      const isOver = endsAt !== null && performance.now() > endsAt + MARGIN_MS
      return isOver && !approvals.has(snapshotId) && !holds.has(runId)
    },
    mayBeHeld: (runId) => holds.has(runId),
    isHeld: (runId, start) => isKeptSince(holds.get(runId), start),
  }
}
