import { createClient, type RunEvent, type RunStatus, type StatelensError } from '../client/client.ts'
import { StartError } from './start-error.ts'

export interface TailCommand {
  /** `STATELENS_URL` and `STATELENS_TOKEN`, and `PORT` where the first is not set. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** `runId`, `after`, `url` and `json`, as they were typed. */
  readonly args: Readonly<Record<string, string | boolean | undefined>>
  readonly output: { write(text: string): unknown }
  /** Told what is not an event. */
  readonly notes: { write(text: string): unknown }
  readonly signal: AbortSignal
}

/**
 * The command `tail`: prints the events of a run, a line each, until it ends.
 * @returns the exit code. 0: the run succeeded, or ended in a way that is none of the following. 2: it failed, was canceled, timed out or
 * was deleted. 1: the command was stopped before.
 * @throws StartError when an argument is wrong; StatelensError for what the server refuses.
 */
export async function runTail({ env, args, output, notes, signal }: TailCommand): Promise<number> {
  const { runId, after, url = env['STATELENS_URL'] ?? `http://127.0.0.1:${env['PORT'] ?? 4000}`, json = false } = args
  if (typeof runId !== 'string' || runId === '') throw new StartError('tail takes the id of a run')
  const client = createClient({ url: String(url), token: env['STATELENS_TOKEN'] })
  const onReconnect = ({ code }: StatelensError) => notes.write(`Lost the server (${code}): trying again.\n`)
  let cursor = after?.toString()
  try {
    for await (const event of client.watchRun(runId, { after: cursor, signal, onReconnect })) {
      cursor = event.cursor
      output.write(json === true ? `${JSON.stringify(event)}\n` : lineOf(event))
      if (event.type === 'RunEnded') return exitCodeOf(event.run?.status)
    }
    return 0
  } catch (error) {
    if (!signal.aborted) throw error
    notes.write(`Stopped.${cursor === undefined ? '' : ` To go on from here: --after ${cursor}`}\n`)
    return 1
  }
}

function exitCodeOf(status: RunStatus | undefined): number {
  return status === undefined || ['FAILED', 'CANCELED', 'TIMED_OUT'].includes(status) ? 2 : 0
}

function lineOf(event: RunEvent): string {
  switch (event.type) {
    case 'RunUpdated':
      return line('run', [event.run.status, ...detailsOf(event.run)], event.run.updatedAt)
    case 'StepUpdated':
      return line('step', [plain(event.step.stepId), event.step.status, ...detailsOf(event.step)])
    case 'SnapshotCaptured': {
      const { seq, stepId, kind, sizeBytes, createdAt } = event.snapshot
      const place = stepId === null ? [] : [plain(stepId)]
      return line('snapshot', [...place, kind, `#${seq}`, ...(sizeBytes === null ? [] : [`${sizeBytes} B`])], createdAt)
    }
    case 'CaughtUp':
      return line('live', ['what follows happens now'])
    case 'RunEnded':
      return line('ended', event.run ? [event.run.status, ...detailsOf(event.run)] : ['deleted'])
    default:
      // Of a later version.
      return ''
  }
}

function line(what: string, parts: readonly string[], at = ''): string {
  return `${at.padEnd(24)}  ${what.padEnd(8)}  ${parts.join('  ')}\n`
}

interface Timed {
  readonly durationMs: number | null
  readonly error: { readonly message: string } | null
}

function detailsOf({ durationMs, error }: Timed): readonly string[] {
  return [...(durationMs === null ? [] : [`${durationMs / 1000} s`]), ...(error ? [JSON.stringify(error.message)] : [])]
}

/** Ids are their owners' text: what a terminal would obey is shown and not done. */
function plain(id: string): string {
  return /^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(id) ? id : JSON.stringify(id)
}
