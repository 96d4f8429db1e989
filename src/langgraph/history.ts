import type { Client } from '../client/client.ts'
import type { TaskWrites } from './writes.ts'

/** What is known of a checkpoint without its state. */
export interface StoredCheckpoint {
  readonly runId: string
  readonly namespace: string
  readonly id: string
  readonly parentId: string | null
  /** Undefined where it is within the state. */
  readonly metadata: unknown
}

export interface LoadedCheckpoint extends Pick<StoredCheckpoint, 'parentId' | 'metadata'> {
  readonly state: unknown
  /** In the order in which they came. */
  readonly tasks: readonly TaskWrites[]
}

/** What a server has of threads. */
export interface History {
  /** The id of the newest. */
  latestOf(runId: string, namespace: string): Promise<string | undefined>
  /** Newest first, of one thread, or of all. */
  checkpoints(runId: string | undefined): AsyncGenerator<StoredCheckpoint>
  load(runId: string, stepId: string): Promise<LoadedCheckpoint | undefined>
}

const CHECKPOINTS = `query ($runId: String!, $last: Int!, $before: String) {
  run(runId: $runId) {
    snapshots(last: $last, before: $before, filter: { kind: [CHECKPOINT] }) {
      nodes { metadata }
      pageInfo { hasPreviousPage startCursor }
    }
  }
}`

const STEP = `query ($runId: String!, $stepId: String!, $after: String) {
  step(runId: $runId, stepId: $stepId) {
    snapshots(first: 20, after: $after) {
      nodes { kind metadata payload }
      pageInfo { hasNextPage endCursor }
    }
  }
}`

const THREADS = `query ($after: String) {
  runs(first: 100, after: $after, filter: { tags: [{ key: "langgraph", value: "thread" }] }) {
    nodes { runId }
    pageInfo { hasNextPage endCursor }
  }
}`

interface PageInfo {
  readonly hasNextPage: boolean
  readonly hasPreviousPage: boolean
  readonly startCursor: string | null
  readonly endCursor: string | null
}

interface Told {
  readonly langgraph?: {
    readonly namespace?: string
    readonly id?: string
    readonly parentId?: string | null
    readonly taskId?: string
    readonly taskPath?: string
  }
  readonly metadata?: unknown
}

interface CheckpointPage {
  readonly run: {
    readonly snapshots: { readonly nodes: readonly { metadata: Told | null }[]; readonly pageInfo: PageInfo }
  } | null
}

interface StepPage {
  readonly step: {
    readonly snapshots: {
      readonly nodes: readonly { readonly kind: string; readonly metadata: Told | null; readonly payload: unknown }[]
      readonly pageInfo: PageInfo
    }
  } | null
}

interface ThreadPage {
  readonly runs: { readonly nodes: readonly { readonly runId: string }[]; readonly pageInfo: PageInfo }
}

export function createHistory(client: Client): History {
  async function* ofThread(runId: string, firstPage: number): AsyncGenerator<StoredCheckpoint> {
    const seen = new Set<string>()
    let before: string | null = null
    for (let last = firstPage; ; last = 100) {
      const { run }: CheckpointPage = await client.query<CheckpointPage>(CHECKPOINTS, { runId, last, before })
      for (const { metadata: told } of run?.snapshots.nodes.toReversed() ?? []) {
        const { namespace, id, parentId = null } = told?.langgraph ?? {}
        // What else is recorded of the run is none of ours; of a checkpoint that was written again the last counts.
        if (namespace === undefined || id === undefined || seen.has(`${id} ${namespace}`)) continue
        seen.add(`${id} ${namespace}`)
        yield { runId, namespace, id, parentId, metadata: told?.metadata }
      }
      if (!run?.snapshots.pageInfo.hasPreviousPage) return
      before = run.snapshots.pageInfo.startCursor
    }
  }

  async function* threads(): AsyncGenerator<string> {
    let after: string | null = null
    for (;;) {
      const { runs }: ThreadPage = await client.query<ThreadPage>(THREADS, { after })
      for (const { runId } of runs.nodes) yield runId
      if (!runs.pageInfo.hasNextPage) return
      after = runs.pageInfo.endCursor
    }
  }

  return {
    async latestOf(runId, namespace) {
      for await (const found of ofThread(runId, 5)) if (found.namespace === namespace) return found.id
      return undefined
    },
    async *checkpoints(runId) {
      if (runId !== undefined) return yield* ofThread(runId, 50)
      for await (const thread of threads()) yield* ofThread(thread, 50)
    },
    async load(runId, stepId) {
      let found: Omit<LoadedCheckpoint, 'tasks'> | undefined
      const tasks: TaskWrites[] = []
      let after: string | null = null
      for (;;) {
        const { step }: StepPage = await client.query<StepPage>(STEP, { runId, stepId, after })
        for (const { kind, metadata, payload } of step?.snapshots.nodes ?? []) {
          const { id, parentId = null, taskId, taskPath = '' } = metadata?.langgraph ?? {}
          if (kind === 'CHECKPOINT' && id !== undefined)
            found = { parentId, metadata: metadata?.metadata, state: payload }
          else if (taskId !== undefined) tasks.push({ taskId, taskPath, writes: payload as TaskWrites['writes'] })
        }
        if (!step?.snapshots.pageInfo.hasNextPage) return found && { ...found, tasks }
        after = step.snapshots.pageInfo.endCursor
      }
    },
  }
}
