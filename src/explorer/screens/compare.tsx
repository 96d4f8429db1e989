import { Fault } from '../api/fault.ts'
import { useAsk } from '../api/use-ask.ts'
import { formatBytes, formatDuration, visible } from '../format.ts'
import {
  CompareDocument,
  ComparedStepsDocument,
  type StepPairFragment,
  type StepSideFragment,
} from '../generated/documents.ts'
import { params, setParams, toCompare, toRun, toState } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { Icon } from '../parts/icon.tsx'
import { TableBox } from '../parts/scrollable.tsx'
import { Status } from '../parts/status.tsx'
import { Waiting } from '../parts/waiting.tsx'
import { usePages } from './use-pages.ts'

export interface CompareScreenProps {
  readonly base: string
  readonly other: string
}

/** Two runs step by step, where they part, and the way to each difference. */
export function CompareScreen({ base, other }: CompareScreenProps) {
  const { data, fault, isLoading, again } = useAsk(CompareDocument, { base, other })
  const compared = data?.compareRuns
  return (
    <section class="page">
      <div class="page-head">
        <h1>Two runs beside each other</h1>
        <span class="spacer" />
        <a class="button" href={toCompare(other, base)}>
          Swap
        </a>
      </div>
      {fault && <FaultView fault={fault} onRetry={again} />}
      {data?.compareRuns === null && (
        <FaultView fault={new Fault('NOT_FOUND', 'One of the runs is not there')} onRetry={again} />
      )}
      {!data && isLoading && <Waiting rows={8} what="Comparing the runs" />}
      {compared && (
        <>
          <p class="diverge">
            <Icon name={compared.firstDivergence ? 'git-compare' : 'circle-check'} />
            {compared.firstDivergence ? (
              <span>
                They part at <strong>{nameOf(compared.firstDivergence)}</strong>: {reasonOf(compared.firstDivergence)}.
              </span>
            ) : (
              <span>As far as digests tell, they are the same.</span>
            )}
          </p>
          <Pairs base={base} other={other} divergence={compared.firstDivergence} runs={compared} />
        </>
      )}
    </section>
  )
}

interface PairsProps extends CompareScreenProps {
  readonly divergence: StepPairFragment | null | undefined
  readonly runs: { readonly base: { readonly status: string }; readonly other: { readonly status: string } }
}

function Pairs({ base, other, divergence }: PairsProps) {
  const pairs = usePages({
    document: ComparedStepsDocument,
    variablesAt: (after) => ({ base, other, after }),
    pageIn: (data) => data.compareRuns?.steps,
    keyOf,
    pages: 3,
  })
  const isHiding = params.value.get('hide') === 'same'
  const shown = pairs.items.filter(
    ({ identical, alignment }) => !isHiding || alignment !== 'MATCHED' || identical !== true,
  )
  const first = divergence && keyOf(divergence)
  return (
    <>
      <label class="check">
        <input
          type="checkbox"
          checked={isHiding}
          onChange={(event) => setParams({ hide: event.currentTarget.checked ? 'same' : null }, { isReplacing: true })}
        />
        Hide what is the same
      </label>
      <TableBox label="Steps of both runs">
        <table class="pairs">
          <thead>
            <tr>
              <th>
                <a href={toRun(base)}>
                  <bdi>{visible(base)}</bdi>
                </a>
              </th>
              <th class="number">Duration</th>
              <th class="between">State</th>
              <th>
                <a href={toRun(other)}>
                  <bdi>{visible(other)}</bdi>
                </a>
              </th>
              <th class="number">Duration</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((pair) => (
              <tr
                key={keyOf(pair)}
                class={keyOf(pair) === first ? 'divergence' : undefined}
                data-alignment={pair.alignment}
              >
                <Side step={pair.base} runId={base} />
                <td class="between">
                  <Between pair={pair} other={other} />
                </td>
                <Side step={pair.other} runId={other} />
              </tr>
            ))}
          </tbody>
        </table>
      </TableBox>
      {pairs.fault && <FaultView fault={pairs.fault} onRetry={pairs.again} />}
      {pairs.isLoading && <Waiting rows={4} />}
      {pairs.hasMore && !pairs.isLoading && (
        <p class="pager">
          <button type="button" onClick={pairs.more}>
            More steps
          </button>
        </p>
      )}
    </>
  )
}

function Side({ step, runId }: { readonly step: StepSideFragment | null | undefined; readonly runId: string }) {
  if (!step) return <td class="absent" colSpan={2} />
  return (
    <>
      <td class="name">
        <Status of={step.status} />{' '}
        <a href={toRun(runId, { step: step.stepId })}>
          <bdi>{visible(step.name ?? step.stepId)}</bdi>
        </a>
        {step.attempt > 1 && <span class="badge">attempt {step.attempt}</span>}
      </td>
      <td class="number">{formatDuration(step.durationMs)}</td>
    </>
  )
}

function Between({
  pair: { alignment, identical, base, other: step },
  other,
}: {
  readonly pair: StepPairFragment
  readonly other: string
}) {
  if (alignment !== 'MATCHED')
    return <span class="muted">{alignment === 'ONLY_IN_BASE' ? 'only here' : 'only there'}</span>
  if (identical === true) return <span class="muted">= same</span>
  if (!base?.snapshot || !step?.snapshot) return <span class="muted">no state</span>
  return (
    <a
      class="button"
      href={toState(other, step.snapshot.snapshotId, { vs: base.snapshot.snapshotId })}
      title={`${formatBytes(base.snapshot.sizeBytes)} and ${formatBytes(step.snapshot.sizeBytes)}`}
    >
      <Icon name="git-compare" /> {identical === false ? 'differs' : 'compare'}
    </a>
  )
}

const keyOf = ({ base, other }: StepPairFragment) => `${base?.stepId ?? ''}\n${other?.stepId ?? ''}`
const nameOf = ({ base, other }: StepPairFragment) => visible((base ?? other)?.name ?? (base ?? other)?.stepId ?? '')

function reasonOf({ alignment, base, other }: StepPairFragment): string {
  if (alignment === 'ONLY_IN_BASE') return 'only the first run has this step there'
  if (alignment === 'ONLY_IN_OTHER') return 'only the second run has this step there'
  if (base?.attempt !== other?.attempt) return `it took ${base?.attempt} and ${other?.attempt} attempts`
  return 'its states differ'
}
