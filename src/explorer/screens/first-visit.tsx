import { SERVER } from '../location.ts'
import { copyText } from '../parts/copy.ts'
import { Icon } from '../parts/icon.tsx'
import { TextBlock } from '../parts/scrollable.tsx'

const origin = SERVER.href.replace(/\/$/, '')

const WAYS: readonly (readonly [name: string, text: string])[] = [
  [
    'curl',
    `curl -sf -X PUT '${origin}/runs/my-run/steps/plan/snapshot?kind=OUTPUT' \\
  -H 'content-type: application/json' -d '{"todo": ["read", "write"], "done": false}'`,
  ],
  [
    'TypeScript',
    `import { createClient } from 'statelens/client'

const client = createClient({ url: '${origin}' })
await client.capture({ runId: 'my-run', stepId: 'plan', kind: 'OUTPUT' }, { value: { todo: ['read', 'write'], done: false } })`,
  ],
  [
    'GraphQL',
    `mutation {
  captureSnapshot(input: { runId: "my-run", stepId: "plan", kind: OUTPUT, payload: { done: false } }) {
    snapshot { snapshotId sizeBytes }
  }
}`,
  ],
]

/** What one sees before there is a run: how to record one. The page goes on by itself. */
export function FirstVisit() {
  return (
    <section class="page first-visit">
      <h1>No run has been recorded yet</h1>
      <p>Record a first state in one of these ways. This page shows it as soon as it is there.</p>
      {WAYS.map(([name, text]) => (
        <section key={name} class="way">
          <header>
            <h2>{name}</h2>
            <button type="button" onClick={() => copyText(text, `the example for ${name}`)}>
              <Icon name="copy" /> Copy
            </button>
          </header>
          <TextBlock>{text}</TextBlock>
        </section>
      ))}
      <p class="muted waiting-line">
        <span class="pulse" aria-hidden="true" /> Waiting for the first run …
      </p>
    </section>
  )
}
