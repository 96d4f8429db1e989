import type { RunFilter, RunStatus } from '../generated/documents.ts'
import { params, setParams, toRuns } from '../location.ts'
import { wordOf } from '../parts/status.tsx'

const STATUSES: readonly RunStatus[] = ['RUNNING', 'FAILED', 'SUCCEEDED', 'QUEUED', 'CANCELED', 'TIMED_OUT', 'UNKNOWN']
const NAMES = ['status', 'workflow', 'tag', 'q'] as const

export const hasFilter = (query: URLSearchParams) => NAMES.some((name) => query.has(name))

/** What the address asks for; a status that there is not is passed over. */
export function filterOf(query: URLSearchParams): RunFilter | null {
  if (!hasFilter(query)) return null
  const asked = query.getAll('status')
  const status = STATUSES.filter((one) => asked.includes(one))
  const tags = query.getAll('tag').map((tag) => {
    const [key = '', ...value] = tag.split(':')
    return { key, value: value.join(':') }
  })
  return {
    ...(status.length > 0 ? { status } : {}),
    ...(query.get('workflow') ? { workflowName: query.get('workflow') } : {}),
    ...(tags.length > 0 ? { tags } : {}),
    ...(query.get('q') ? { search: query.get('q') } : {}),
  }
}

/** The filters of the address as a form; each takes effect as it is left. */
export function RunFilters() {
  const query = params.value
  const change = (name: string, value: string) =>
    setParams({ [name]: value.trim() === '' ? null : value.trim(), after: null, before: null })
  return (
    <search>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label>
          Status
          <select value={query.get('status') ?? ''} onChange={(event) => change('status', event.currentTarget.value)}>
            <option value="">Any</option>
            {STATUSES.map((status) => (
              <option key={status} value={status}>
                {wordOf(status)}
              </option>
            ))}
          </select>
        </label>
        <Field name="q" label="Begins with" hint="run or workflow" change={change} />
        <Field name="workflow" label="Workflow" hint="exactly" change={change} />
        <Field name="tag" label="Tag" hint="env:prod" change={change} />
        {hasFilter(query) && (
          <a class="button" href={toRuns()}>
            Clear
          </a>
        )}
      </form>
    </search>
  )
}

interface FieldProps {
  readonly name: string
  readonly label: string
  readonly hint: string
  readonly change: (name: string, value: string) => void
}

function Field({ name, label, hint, change }: FieldProps) {
  return (
    <label>
      {label}
      <input
        type="search"
        spellcheck={false}
        autocomplete="off"
        placeholder={hint}
        value={params.value.get(name) ?? ''}
        onChange={(event) => change(name, event.currentTarget.value)}
      />
    </label>
  )
}
