import { useEffect, useState } from 'preact/hooks'
import { stopReading } from '../api/client.ts'

const SKELETON_MILLIS = 150
const STOP_MILLIS = 2000

export interface WaitingProps {
  /** Rows of the skeleton. */
  readonly rows?: number
  /** What is being done, as it is told after two seconds. */
  readonly what?: string
}

/** Nothing at first, then the shape of what comes, then what it does and a way to end it. */
export function Waiting({ rows = 8, what = 'Reading' }: WaitingProps) {
  const phase = usePhase()
  if (phase === 'short') return null
  return (
    <div class="waiting" aria-busy="true">
      {phase === 'long' && (
        <p class="waiting-text">
          {what} …
          <button type="button" onClick={stopReading}>
            Stop
          </button>
        </p>
      )}
      <div class="skeleton" aria-hidden="true">
        {Array.from({ length: rows }, (_, row) => (
          <span key={row} style={{ width: `${90 - ((row * 37) % 50)}%` }} />
        ))}
      </div>
    </div>
  )
}

function usePhase(): 'short' | 'skeleton' | 'long' {
  const [phase, setPhase] = useState<'short' | 'skeleton' | 'long'>('short')
  useEffect(() => {
    const first = setTimeout(() => setPhase('skeleton'), SKELETON_MILLIS)
    const second = setTimeout(() => setPhase('long'), STOP_MILLIS)
    return () => {
      clearTimeout(first)
      clearTimeout(second)
    }
  }, [])
  return phase
}
