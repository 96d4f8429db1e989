import { ask, fetchPlain, token } from '../api/client.ts'
import { faultOf } from '../api/fault.ts'
import { formatBytes, formatTime, shorten, visible } from '../format.ts'
import { DownloadDocument } from '../generated/documents.ts'
import { params, toRun, withParams } from '../location.ts'
import { copyText } from '../parts/copy.ts'
import { Icon } from '../parts/icon.tsx'
import { notify } from '../parts/notices.tsx'
import { saveAs, saveResponse } from '../parts/save.ts'
import { Fact } from './fact.tsx'
import { FollowButton } from './follow-bar.tsx'
import { type SnapshotHead, toNeighbour } from './state.tsx'

const STATES = { AVAILABLE: 'fine', MISSING: 'missing', CORRUPT: 'corrupt', UNKNOWN: 'not yet' }
const TIERS = { INLINE: 'in the database', OBJECT: 'object storage' }

/** What is known of a state without reading it, and the ways to its neighbours. */
export function StateHead({ snapshot }: { readonly snapshot: SnapshotHead }) {
  const {
    runId,
    stepId,
    seq,
    kind,
    sizeBytes,
    digest,
    storageTier,
    storageState,
    createdAt,
    piiTags,
    redactionPolicy,
    attempt,
  } = snapshot
  return (
    <>
      <div class="page-head">
        <h1>
          {stepId ? (
            <a class="plain" href={toRun(runId, { step: stepId })}>
              <bdi>{visible(shorten(snapshot.step?.name ?? stepId, 80))}</bdi>
            </a>
          ) : (
            'State of the run'
          )}{' '}
          <span class="muted light">
            {kind.toLowerCase()} {seq}
          </span>
        </h1>
        <span class="spacer" />
        <Travel snapshot={snapshot} />
        <Views />
        <FollowButton snapshot={snapshot} />
        <button type="button" onClick={() => download(snapshot)}>
          <Icon name="download" /> <span class="wide">Download</span>
        </button>
      </div>
      <dl class="facts">
        <Fact name="Size">{formatBytes(sizeBytes)}</Fact>
        <Fact name="Captured">{formatTime(createdAt)}</Fact>
        {attempt > 1 && <Fact name="Attempt">{attempt}</Fact>}
        <Fact name="Kept">{TIERS[storageTier]}</Fact>
        <Fact name="Last read">
          <span data-storage={storageState}>{STATES[storageState]}</span>
        </Fact>
        {digest && (
          <Fact name="Digest">
            <button
              type="button"
              class="link mono"
              title={`Copy ${digest}`}
              onClick={() => copyText(digest, 'the digest')}
            >
              {digest.slice(7, 19)}…
            </button>
          </Fact>
        )}
        {redactionPolicy && <Fact name={digest ? 'Policy' : 'Masked by'}>{visible(redactionPolicy)}</Fact>}
        {piiTags.length > 0 && <Fact name="Personal data">{piiTags.map(visible).join(', ')}</Fact>}
      </dl>
    </>
  )
}

function Travel({ snapshot }: { readonly snapshot: SnapshotHead }) {
  const { previous, next } = snapshot
  return (
    <nav class="group" aria-label="States of the run in time">
      <Neighbour name="State before" sign="," icon="arrow-left" href={previous && toNeighbour(snapshot, previous)} />
      <Neighbour name="State after" sign="." icon="arrow-right" href={next && toNeighbour(snapshot, next)} />
    </nav>
  )
}

interface NeighbourProps {
  readonly name: string
  /** The key that does the same. */
  readonly sign: string
  readonly icon: string
  /** None: there is no such state. */
  readonly href: string | null | undefined
}

function Neighbour({ name, sign, icon, href }: NeighbourProps) {
  const title = `${name} (${sign})`
  return href ? (
    <a class="button" aria-label={name} title={title} href={href}>
      <Icon name={icon} />
    </a>
  ) : (
    <button type="button" aria-label={name} title={title} disabled>
      <Icon name={icon} />
    </button>
  )
}

const VIEWS = [
  ['tree', 'list', 'Tree'],
  ['table', 'table-2', 'Table'],
  ['text', 'text', 'Text'],
] as const

function Views() {
  const isDiff = params.value.has('vs')
  const view = params.value.get('view') ?? 'tree'
  return (
    <nav class="group" aria-label="Views">
      {VIEWS.map(([name, icon, word]) => (
        <a
          key={name}
          class="button"
          aria-label={word}
          aria-current={!isDiff && view === name ? 'true' : undefined}
          href={withParams({ view: name === 'tree' ? null : name, vs: null, byte: null, row: null })}
        >
          <Icon name={icon} /> <span class="wide">{word}</span>
        </a>
      ))}
      <a
        class="button"
        aria-label="Diff"
        title="Difference from the state before (d)"
        aria-current={isDiff ? 'true' : undefined}
        href={withParams({ vs: params.value.get('was') ?? 'previous', view: null, find: null })}
      >
        <Icon name="git-compare" /> <span class="wide">Diff</span>
      </a>
    </nav>
  )
}

/** By a link where one can be had: then the browser saves it while it comes, at any size. */
async function download({ snapshotId, stepId }: SnapshotHead): Promise<void> {
  const { signal } = new AbortController()
  try {
    const { data, faults } = await ask(DownloadDocument, { id: snapshotId }, signal)
    const url = data.snapshotById?.download?.url
    if (url) return saveAs(url, '')
    if (token.value === null && faults[0]) throw faults[0]
    await saveResponse(await fetchPlain(`snapshots/${snapshotId}/payload`, signal), `${stepId ?? 'state'}.json`)
  } catch (error) {
    notify(faultOf(error).message, { isBad: true })
  }
}
