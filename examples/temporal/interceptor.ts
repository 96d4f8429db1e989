/**
 * Records the activities of a Temporal worker: a workflow's execution is a run, each activity a step of it, with its arguments, its result
 * and its failures. `Worker.create({ …, interceptors: { activity: [recordActivities({ client, onProblem })] } })`
 */
import type { Client } from 'statelens/client'

/** What is read of the `Context` of `@temporalio/activity`. */
export interface ActivityContext {
  readonly info: {
    readonly activityId: string
    readonly activityType: string
    /** From 1. */
    readonly attempt: number
    readonly workflowType?: string | undefined
    readonly workflowExecution?: { readonly workflowId: string; readonly runId: string } | undefined
  }
}

interface ExecuteInput {
  readonly args: unknown[]
}

export interface RecorderOptions {
  readonly client: Client
  /** Told what could not be recorded: the activity goes on. */
  readonly onProblem: (error: unknown) => void
}

/** One for the worker; the worker asks it for an interceptor at each execution. */
export function recordActivities({ client, onProblem }: RecorderOptions) {
  return ({ info }: ActivityContext) => {
    const { activityId, activityType, attempt, workflowExecution: of } = info
    const runId = of ? `${of.workflowId}/${of.runId}` : `activity/${activityId}`
    const step = { runId, stepId: activityId, attempt }
    const record = async (act: () => Promise<unknown>) => void (await act().catch(onProblem))
    // A worker that repeats what it was doing when it ended records it once.
    const capture = (kind: 'INPUT' | 'OUTPUT' | 'ERROR', value: unknown) =>
      client.capture({ ...step, kind, idempotencyKey: `${activityId}/${attempt}/${kind}` }, { value: value ?? null })

    async function execute<Input extends ExecuteInput>(
      input: Input,
      next: (input: Input) => Promise<unknown>,
    ): Promise<unknown> {
      await record(async () => {
        await client.upsertRun({ runId, workflowName: info.workflowType ?? activityType, status: 'RUNNING' })
        const begun = { name: activityType, kind: 'activity', status: 'RUNNING', startedAt: new Date() } as const
        await client.upsertStep({ ...step, ...begun, endedAt: null, error: null })
        await capture('INPUT', input.args)
      })
      try {
        const result = await next(input)
        await record(async () => {
          await capture('OUTPUT', result)
          await client.upsertStep({ ...step, status: 'SUCCEEDED', endedAt: new Date() })
        })
        return result
      } catch (failure) {
        const { name, message, stack } = failure instanceof Error ? failure : new Error(String(failure))
        await record(async () => {
          const error = { type: name, message, stack: stack ?? null }
          await capture('ERROR', error)
          await client.upsertStep({ ...step, status: 'FAILED', endedAt: new Date(), error })
        })
        throw failure
      }
    }
    return { inbound: { execute } }
  }
}
