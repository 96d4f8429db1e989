import assert from 'node:assert/strict'
import type { Content } from './contents.ts'
import { createLives, type Life, type Lives } from './lives.ts'
import type { Way } from './operations.ts'

/** A capture as it was sent. Times are milliseconds of `performance.now()`. */
export interface Attempt {
  readonly way: Way
  readonly runId: string
  readonly stepId: string
  readonly key: string | null
  readonly content: Content
  readonly digest: string
  readonly start: number
  /** When it is to go by itself; null: never. */
  readonly endsAt: number | null
  /** `unknown` may be there, or may come to be there yet. */
  outcome: 'under way' | 'acknowledged' | 'unknown' | 'refused'
}

/** A state that somebody was told is stored. */
export interface State extends Omit<Attempt, 'outcome'>, Life {
  readonly snapshotId: string
  /** When it was acknowledged first. */
  readonly end: number
}

interface Deletion {
  readonly start: number
  /** Infinity while it may still happen. */
  end: number
  isAcknowledged: boolean
}

/** What must be so, of what was acknowledged. */
export interface Model {
  readonly attempts: readonly Attempt[]
  readonly lives: Lives
  states(): readonly State[]
  begin(attempt: Omit<Attempt, 'start' | 'endsAt' | 'outcome'> & Partial<Pick<Attempt, 'endsAt'>>): Attempt
  /** @throws AssertionError where that breaks a promise. */
  acknowledge(attempt: Attempt, told: Acknowledged): State
  /** @throws AssertionError where nothing was in its way. */
  conflict(attempt: Attempt): void
  pick(which: number): State | undefined
  /** Whether a state must be there, must be gone, or may be either, for somebody who looked from `start` on until now. */
  fate(state: State, start: number): 'there' | 'gone' | 'either'
  /** @param of a snapshot or a run. */
  beginDeletion(of: { readonly snapshotId: string } | { readonly runId: string }): EndDeletion
  /** Nothing that was sent is under way any more. @returns whether that had to be known. */
  hasOpenDeletions(): boolean
  settleDeletions(): void
}

export interface Acknowledged {
  readonly snapshotId: string
  readonly digest: string | null
  readonly created: boolean
}

export type EndDeletion = (outcome: 'acknowledged' | 'unknown' | 'refused') => void

export function createModel(): Model {
  const attempts: Attempt[] = []
  const lives = createLives()
  const states = new Map<string, State>()
  const picked: State[] = []
  const ofSnapshot = new Map<string, Deletion[]>()
  const ofRun = new Map<string, Deletion[]>()
  const open = new Set<Deletion>()

  function fate(state: State, start: number): 'there' | 'gone' | 'either' {
    // A run that was deleted before the capture began is another one.
    const run = (ofRun.get(state.runId) ?? []).filter(({ end }) => end > state.start)
    const own = ofSnapshot.get(state.snapshotId) ?? []
    const isOver = (deletion: Deletion) => deletion.isAcknowledged && deletion.end <= start
    if (own.some(isOver) || run.some((deletion) => isOver(deletion) && deletion.start >= state.end)) return 'gone'
    return own.length + run.length > 0 || lives.mayBeOver(state) ? 'either' : 'there'
  }

  const sameKey = (a: Attempt | State, b: Attempt | State) =>
    a.key !== null && a.key === b.key && a.runId === b.runId && a.stepId === b.stepId

  function rememberState(attempt: Attempt, snapshotId: string, earlier: Attempt | undefined): State {
    const { outcome: _outcome, ...rest } = attempt
    const state = { ...rest, snapshotId, start: earlier?.start ?? attempt.start, end: performance.now() }
    states.set(snapshotId, state)
    picked.push(state)
    return state
  }

  return {
    attempts,
    lives,
    states: () => picked,
    begin(attempt) {
      const begun: Attempt = { endsAt: null, ...attempt, start: performance.now(), outcome: 'under way' }
      attempts.push(begun)
      return begun
    },
    acknowledge(attempt, { snapshotId, digest, created }) {
      const isAskedAgain = attempt.outcome === 'unknown'
      attempt.outcome = 'acknowledged'
      assert.ok(digest === null || digest === attempt.digest, `${snapshotId} was acknowledged with another digest`)
      const known = states.get(snapshotId)
      if (known) {
        assert.ok(sameKey(known, attempt), `${snapshotId} was acknowledged for two captures`)
        assert.equal(known.digest, attempt.digest, `${snapshotId} was acknowledged for two contents`)
        return known
      }
      const twin = picked.find((state) => sameKey(state, attempt) && fate(state, attempt.start) === 'there')
      assert.equal(twin, undefined, `I-5: ${snapshotId} and ${twin?.snapshotId} have one key`)
      const earlier = attempts.find((other) => other !== attempt && sameKey(other, attempt) && mayBeThere(other))
      assert.ok(created || earlier || isAskedAgain, `${snapshotId} was there before, and nobody had sent it`)
      return rememberState(attempt, snapshotId, earlier)
    },
    conflict(attempt) {
      attempt.outcome = 'refused'
      const others = attempts.filter((other) => other !== attempt && sameKey(other, attempt) && mayBeThere(other))
      const isTaken = others.some(({ digest }) => digest !== attempt.digest)
      const isDeleted = picked.some((state) => sameKey(state, attempt) && fate(state, attempt.start) !== 'there')
      const mayBeDeleted = (ofRun.get(attempt.runId) ?? []).length > 0 && others.length > 0
      assert.ok(isTaken || isDeleted || mayBeDeleted, `A conflict with nothing: ${JSON.stringify(attempt)}`)
    },
    pick: (which) => picked[which % Math.max(picked.length, 1)],
    fate,
    beginDeletion(of) {
      const deletion: Deletion = { start: performance.now(), end: Number.POSITIVE_INFINITY, isAcknowledged: false }
      const [map, id] = 'runId' in of ? [ofRun, of.runId] : [ofSnapshot, of.snapshotId]
      map.set(id, [...(map.get(id) ?? []), deletion])
      return (outcome) => {
        if (outcome === 'unknown') return void open.add(deletion)
        if (outcome === 'refused') {
          const others = map.get(id)?.filter((other) => other !== deletion) ?? []
          map.set(id, others)
          return
        }
        deletion.end = performance.now()
        deletion.isAcknowledged = true
      }
    },
    hasOpenDeletions: () => open.size > 0,
    settleDeletions() {
      for (const deletion of open) deletion.end = performance.now()
      open.clear()
    },
  }
}

function mayBeThere({ outcome }: Attempt): boolean {
  return outcome !== 'refused'
}
