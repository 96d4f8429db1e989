import { signal } from '@preact/signals'
import { SERVER } from '../location.ts'
import { Fault } from './fault.ts'

/** Whether the server answers. What was read before stays on the page meanwhile. */
export const line = signal<'up' | 'gone' | 'offline'>('up')
/** Counts up when it answers again: what failed is then asked once more. */
export const cameBack = signal(0)
/** When it is looked for next, in milliseconds since 1970. */
export const nextLook = signal(0)

const FIRST_MILLIS = 1000
const LONGEST_MILLIS = 15_000

let wait = FIRST_MILLIS
let timer: ReturnType<typeof setTimeout> | undefined

export function noteAnswer(): void {
  if (line.value === 'up') return
  clearTimeout(timer)
  timer = undefined
  wait = FIRST_MILLIS
  line.value = 'up'
  cameBack.value++
}

/** From now on the server is looked for until it answers. @returns what the question that met the silence fails with. */
export function noteSilence(): Fault {
  line.value = navigator.onLine ? 'gone' : 'offline'
  if (timer === undefined) schedule()
  return navigator.onLine
    ? new Fault('SERVER_GONE', 'The server does not answer')
    : new Fault('OFFLINE', 'This device has no connection')
}

/** Looks at once. */
export async function lookNow(): Promise<void> {
  clearTimeout(timer)
  timer = undefined
  try {
    await fetch(new URL('health/live', SERVER), { cache: 'no-store', signal: AbortSignal.timeout(5000) })
    noteAnswer()
  } catch {
    line.value = navigator.onLine ? 'gone' : 'offline'
    schedule()
  }
}

function schedule(): void {
  nextLook.value = Date.now() + wait
  timer = setTimeout(lookNow, wait)
  wait = Math.min(wait * 2, LONGEST_MILLIS)
}

addEventListener('online', () => line.value !== 'up' && lookNow())
addEventListener('offline', () => noteSilence())
