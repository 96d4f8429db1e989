import { counted } from '../format.ts'
import { params, setParams } from '../location.ts'
import { Icon } from '../parts/icon.tsx'
import { LiveLine } from './live-line.tsx'
import type { SnapshotHead } from './state.tsx'
import type { Newest } from './use-newest.ts'

const isFollowing = () => params.value.has('follow')

export const toggleFollow = () => setParams({ follow: isFollowing() ? null : '1' }, { isReplacing: true })

/** Whether something may still come: then it can be followed. */
const isUnderWay = ({ run }: SnapshotHead) => /^(?:RUNNING|QUEUED|UNKNOWN)$/.test(run.status)

export function FollowButton({ snapshot }: { readonly snapshot: SnapshotHead }) {
  if (!isFollowing() && !isUnderWay(snapshot)) return null
  return (
    <button type="button" aria-label="Follow" aria-pressed={isFollowing()} title="Follow (f)" onClick={toggleFollow}>
      <Icon name="radio" /> <span class="wide">Follow</span>
    </button>
  )
}

export interface FollowBarProps {
  readonly snapshot: SnapshotHead
  readonly newest: Newest
}

/** How the line of a followed state stands, and the way on from where somebody has stopped to look. */
export function FollowBar({ snapshot: { stepId }, newest }: FollowBarProps) {
  if (!isFollowing()) return null
  const { isPaused, waiting, resume } = newest
  return (
    <div class="bar follow">
      <LiveLine {...newest} />
      {isPaused ? (
        <button type="button" class="primary" onClick={resume}>
          {waiting > 0 ? `${counted(waiting, 'newer state')} · resume` : 'Paused · resume'}
        </button>
      ) : (
        <span class="muted">This goes on to the newest state, until you touch it.</span>
      )}
      {stepId !== null && stepId !== undefined && (
        <label class="check">
          <input
            type="checkbox"
            checked={params.value.get('follow') === 'step'}
            onChange={(event) =>
              setParams({ follow: event.currentTarget.checked ? 'step' : '1' }, { isReplacing: true })
            }
          />
          This step alone
        </label>
      )}
    </div>
  )
}
