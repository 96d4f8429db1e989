import { useState } from 'preact/hooks'
import { useAsk } from '../api/use-ask.ts'
import { RunsDocument } from '../generated/documents.ts'
import { go, toCompare } from '../location.ts'
import { Icon } from '../parts/icon.tsx'
import type { RunHead } from './run.tsx'

/** Takes the id of another run; those of the same workflow are offered. */
export function CompareForm({ run }: { readonly run: RunHead }) {
  const [isOpen, setIsOpen] = useState(false)
  const filter = run.workflowName ? { workflowName: run.workflowName } : null
  const { data } = useAsk(RunsDocument, isOpen ? { first: 20, filter } : null)
  if (!isOpen) {
    return (
      <button type="button" onClick={() => setIsOpen(true)}>
        <Icon name="git-compare" /> Compare
      </button>
    )
  }
  return (
    <form
      class="inline-form"
      onSubmit={(event) => {
        event.preventDefault()
        const other = String(new FormData(event.currentTarget).get('other') ?? '').trim()
        if (other !== '') go(toCompare(other, run.runId))
      }}
    >
      <label>
        Compare with{' '}
        <input
          name="other"
          list="other-runs"
          spellcheck={false}
          autocomplete="off"
          placeholder="id of another run"
          autofocus
        />
      </label>
      <datalist id="other-runs">
        {data?.runs.nodes
          .filter(({ runId }) => runId !== run.runId)
          .map(({ runId }) => (
            <option key={runId} value={runId} />
          ))}
      </datalist>
      <button type="submit" class="primary">
        Compare
      </button>
    </form>
  )
}
