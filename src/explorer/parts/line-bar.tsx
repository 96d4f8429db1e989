import { useEffect, useState } from 'preact/hooks'
import { line, lookNow, nextLook } from '../api/line.ts'
import { Icon } from './icon.tsx'

/** Says that the server is gone, and what happens next. What was read before stays below it. */
export function LineBar() {
  const state = line.value
  if (state === 'up') return null
  return (
    <div class="bar bad" role="status" data-line={state}>
      <Icon name="refresh-cw" />
      <span>
        {state === 'gone' ? 'The server does not answer.' : 'This device has no connection.'} What is shown is what was
        read last. <Countdown until={nextLook.value} />
      </span>
      <button type="button" onClick={lookNow}>
        Try now
      </button>
    </div>
  )
}

function Countdown({ until }: { readonly until: number }) {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  const seconds = Math.ceil((until - now) / 1000)
  return <span aria-hidden="true">{seconds > 0 ? `Next try in ${seconds} s.` : 'Trying …'}</span>
}
