import type { Followed } from '../api/use-follow.ts'

const WORDS = {
  connecting: 'connecting …',
  live: 'live',
  lost: 'the line broke: trying again, nothing is missed',
  ended: 'the run has ended',
  failed: 'cannot be followed',
}

/** How the line stands; always told. */
export function LiveLine({ state, fault }: Followed) {
  if (state === undefined) return null
  return (
    <span class="live" data-live={state}>
      {state === 'live' && <span class="pulse" aria-hidden="true" />}
      {WORDS[state]}
      {fault && `: ${fault.message}`}
    </span>
  )
}
