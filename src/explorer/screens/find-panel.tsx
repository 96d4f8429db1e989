import { useEffect, useState } from 'preact/hooks'
import { ask } from '../api/client.ts'
import { type Fault, faultOf, isAbort } from '../api/fault.ts'
import { counted, formatBytes, shorten, visible } from '../format.ts'
import { FindDocument, type FindQuery } from '../generated/documents.ts'
import { params, setParams, withParams } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { Icon } from '../parts/icon.tsx'
import { useKeys } from '../parts/keys.ts'
import { say } from '../parts/notices.tsx'
import type { SnapshotHead } from './state.tsx'

type Match = NonNullable<NonNullable<FindQuery['snapshotById']>['find']>['nodes'][number]

/** So many are looked for before somebody has to ask for more. */
const ENOUGH = 50

/** What was found below a pointer: searched on the server, page after page, with what was searched so far. */
export function FindPanel({ snapshot }: { readonly snapshot: SnapshotHead }) {
  const text = params.value.get('find') ?? ''
  const pointer = params.value.get('below') ?? ''
  const search = useSearch({ id: snapshot.snapshotId, pointer, text })
  const { matches, scannedBytes, isOver, isRunning, fault } = search
  const at = params.value.get('at') ?? ''
  const here = matches.findIndex(({ node }) => node.pointer === at)
  const goTo = (index: number) => {
    const match = matches[(index + matches.length) % matches.length]
    if (match) setParams({ at: match.node.pointer || null }, { isReplacing: true })
  }
  useKeys({
    n: () => goTo(here + 1),
    N: () => goTo(here === -1 ? -1 : here - 1),
    Escape: () => setParams({ find: null, below: null }),
  })
  return (
    <aside class="panel" aria-label="Matches">
      <header>
        <h2>
          <bdi>“{visible(shorten(text, 60))}”</bdi>
        </h2>
        <a class="button quiet" aria-label="Close the search" href={withParams({ find: null, below: null })}>
          <Icon name="x" />
        </a>
      </header>
      <p class="muted" data-search={isRunning ? 'running' : isOver ? 'over' : 'stopped'}>
        {counted(matches.length, 'match').replace('matchs', 'matches')}{' '}
        {pointer !== '' && (
          <>
            below <span class="mono">{pointer}</span>
          </>
        )}{' '}
        · {isOver ? 'all of it was searched' : `searched ${formatBytes(scannedBytes)}`}
        {!isOver && pointer === '' && snapshot.sizeBytes ? ` of ${formatBytes(snapshot.sizeBytes)}` : ''}
      </p>
      {fault && <FaultView fault={fault} onRetry={search.more} />}
      <p class="panel-actions">
        {isRunning && (
          <button type="button" onClick={search.stop}>
            Stop
          </button>
        )}
        {!isRunning && !isOver && !fault && (
          <button type="button" onClick={search.more}>
            Search on
          </button>
        )}
      </p>
      <ol class="matches">
        {matches.map((match, index) => (
          <li key={`${index}`}>
            <a href={withParams({ at: match.node.pointer })} aria-current={index === here ? 'true' : undefined}>
              <span class="mono pointer">
                <bdi>{visible(shorten(match.node.pointer || '/', 120))}</bdi>
              </span>
              <Excerpt match={match} />
            </a>
          </li>
        ))}
      </ol>
    </aside>
  )
}

function Excerpt({ match: { excerpt, start, end, in: where } }: { readonly match: Match }) {
  return (
    <span class="excerpt">
      {where === 'KEYS' && <span class="badge">key</span>}
      <bdi>
        {visible(excerpt.slice(0, start))}
        <mark>{visible(excerpt.slice(start, end))}</mark>
        {visible(excerpt.slice(end))}
      </bdi>
    </span>
  )
}

interface Question {
  readonly id: string
  readonly pointer: string
  readonly text: string
}

interface Found {
  readonly matches: readonly Match[]
  readonly scannedBytes: number
  readonly after: string | null
  readonly isOver: boolean
  readonly isRunning: boolean
  readonly fault?: Fault
}

const NOTHING: Found = { matches: [], scannedBytes: 0, after: null, isOver: false, isRunning: true }

function useSearch({ id, pointer, text }: Question) {
  const key = JSON.stringify([id, pointer, text])
  const [state, setState] = useState<Found & { readonly key: string }>({ ...NOTHING, key })
  /** How many matches are enough, and how often somebody asked. */
  const [wish, setWish] = useState({ enough: ENOUGH, round: 0 })
  const [controller, setController] = useState<AbortController>()

  useEffect(() => {
    const running = new AbortController()
    setController(running)
    const start: Found = state.key === key && wish.round > 0 ? { ...state, isRunning: true } : NOTHING
    searchOn({ id, pointer, text, enough: wish.enough, start }, running.signal, (found) => setState({ ...found, key }))
    return () => running.abort()
  }, [key, wish])

  const found = state.key === key ? state : { ...NOTHING, key }
  return {
    ...found,
    stop: () => {
      controller?.abort()
      setState({ ...found, isRunning: false })
    },
    more: () => setWish({ enough: found.matches.length + ENOUGH, round: wish.round + 1 }),
  }
}

interface Search extends Question {
  readonly enough: number
  readonly start: Found
}

/** Page after page, until there is enough, nothing more, or somebody stops it. */
async function searchOn(
  { id, pointer, text, enough, start }: Search,
  signal: AbortSignal,
  tell: (found: Found) => void,
): Promise<void> {
  const { fault: _before, ...rest } = start
  let found: Found = rest
  tell(found)
  try {
    while (!found.isOver && found.matches.length < enough) {
      const { data, faults } = await ask(FindDocument, { id, pointer, text, after: found.after }, signal)
      const page = data.snapshotById?.find
      if (!page) throw faults[0] ?? new Error('nothing to search')
      const { nodes, pageInfo, scannedBytes } = page
      found = {
        matches: [...found.matches, ...nodes],
        scannedBytes: found.scannedBytes + scannedBytes,
        after: pageInfo.endCursor ?? null,
        isOver: !pageInfo.hasNextPage,
        isRunning: true,
      }
      if (signal.aborted) return
      tell(found)
    }
    say(`${found.matches.length} matches`)
    tell({ ...found, isRunning: false })
  } catch (error) {
    if (!isAbort(error) && !signal.aborted) tell({ ...found, isRunning: false, fault: faultOf(error) })
  }
}
