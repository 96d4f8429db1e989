import type { RunStatus, StepStatus } from '../generated/documents.ts'
import { Icon } from './icon.tsx'

const LOOKS: Readonly<Record<RunStatus | StepStatus, readonly [icon: string, word: string]>> = {
  SUCCEEDED: ['circle-check', 'Succeeded'],
  FAILED: ['circle-x', 'Failed'],
  RUNNING: ['circle-play', 'Running'],
  QUEUED: ['circle-dashed', 'Queued'],
  CANCELED: ['ban', 'Canceled'],
  TIMED_OUT: ['clock-alert', 'Timed out'],
  SKIPPED: ['circle-minus', 'Skipped'],
  UNKNOWN: ['circle-help', 'Unknown'],
}

/** By shape, word and colour. */
export function Status({ of }: { readonly of: RunStatus | StepStatus }) {
  const [icon, word] = LOOKS[of] ?? LOOKS.UNKNOWN
  return (
    <span class="status" data-status={of}>
      <Icon name={icon} /> <span class="word">{word}</span>
    </span>
  )
}

export const wordOf = (status: RunStatus | StepStatus) => LOOKS[status]?.[1] ?? 'Unknown'
