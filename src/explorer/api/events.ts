import type { TypedText } from '../generated/documents.ts'
import { request } from './client.ts'
import { Fault, faultOf, isPassing } from './fault.ts'

/** How a stream of events stands: `lost` is looked for again, and has missed nothing when it is back. */
export type LineState = 'connecting' | 'live' | 'lost' | 'ended' | 'failed'

export interface FollowOptions<Data, Variables> {
  readonly document: TypedText<Data, Variables>
  readonly variables: Variables
  /** The cursor in an event; from the last one on it goes on after a break. */
  readonly cursorOf: (data: Data) => string | undefined
  readonly onEvent: (data: Data) => void
  readonly onState: (state: LineState, fault?: Fault) => void
}

const FIRST_WAIT_MILLIS = 1000
const LONGEST_WAIT_MILLIS = 15_000
/** The server says something every 15 seconds. */
const SILENCE_MILLIS = 40_000

/** Follows a subscription over `text/event-stream`, until it is complete or refused. @returns ends it. */
export function follow<Data, Variables extends object>(options: FollowOptions<Data, Variables>): () => void {
  const life = new AbortController()
  run(options, life.signal).catch((error) => life.signal.aborted || options.onState('failed', faultOf(error)))
  return () => life.abort()
}

async function run<Data, Variables extends object>(
  options: FollowOptions<Data, Variables>,
  life: AbortSignal,
): Promise<void> {
  const { document, variables, cursorOf, onEvent, onState } = options
  let after: string | undefined
  let wait = FIRST_WAIT_MILLIS
  onState('connecting')
  while (!life.aborted) {
    try {
      const body = JSON.stringify({
        query: document,
        variables: after === undefined ? variables : { ...variables, after },
      })
      const isComplete = await readStream(body, life, (data: Data) => {
        after = cursorOf(data) ?? after
        wait = FIRST_WAIT_MILLIS
        onState('live')
        onEvent(data)
      })
      if (isComplete) return onState('ended')
    } catch (error) {
      const fault = faultOf(error)
      if (life.aborted) return
      // Only what a server said on purpose is final.
      if (error instanceof Fault && !isPassing(fault)) throw fault
    }
    onState('lost')
    await pause(wait, life)
    wait = Math.min(wait * 2, LONGEST_WAIT_MILLIS)
  }
}

/** @returns whether the stream said that it is complete. @throws Fault when it was refused. */
async function readStream<Data>(body: string, life: AbortSignal, onData: (data: Data) => void): Promise<boolean> {
  const attempt = new AbortController()
  const end = () => attempt.abort()
  life.addEventListener('abort', end)
  let watch = setTimeout(end, SILENCE_MILLIS)
  try {
    const response = await request('graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body,
      signal: attempt.signal,
    })
    if (!response.ok || response.body === null) throw await refusal(response)
    let rest = ''
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      clearTimeout(watch)
      watch = setTimeout(end, SILENCE_MILLIS)
      const blocks = (rest + text).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) if (readBlock(block, onData)) return true
    }
    return false
  } finally {
    clearTimeout(watch)
    life.removeEventListener('abort', end)
    end()
  }
}

/** @returns whether it was the last. */
function readBlock<Data>(block: string, onData: (data: Data) => void): boolean {
  const lines = block.split('\n')
  if (lines.includes('event: complete')) return true
  const line = lines.find((one) => one.startsWith('data: '))
  if (line === undefined) return false
  const { data, errors } = JSON.parse(line.slice('data: '.length))
  if (data) onData(data)
  else if (errors?.[0]) throw new Fault(String(errors[0].extensions?.code ?? 'UNKNOWN'), errors[0].message)
  return false
}

async function refusal(response: Response): Promise<Fault> {
  const { errors } = await response.json().catch(() => ({}))
  const [first] = errors ?? []
  return new Fault(
    String(first?.extensions?.code ?? 'UNKNOWN'),
    first?.message ?? `The server answered ${response.status}`,
  )
}

function pause(millis: number, life: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, millis)
    life.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
