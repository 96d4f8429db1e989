import {
  type CheckpointPendingWrite,
  compareWritesSortKeys,
  type PendingWrite,
  type SerializerProtocol,
  WRITES_IDX_MAP,
  writesSortKey,
} from '@langchain/langgraph-checkpoint'
import { revive } from './checkpoint-text.ts'

/** One write of a task, as it is stored: `value` is JSON, or base64 of another type. */
interface StoredWrite {
  readonly index: number
  readonly channel: string
  readonly type: string
  readonly value: unknown
}

/** What one task wrote, with the place that it has among others. */
export interface TaskWrites {
  readonly taskId: string
  readonly taskPath: string
  readonly writes: readonly StoredWrite[]
}

/** JSON of what a task writes. */
export async function writeWrites(writes: readonly PendingWrite[], serde: SerializerProtocol): Promise<string> {
  const items = await Promise.all(
    writes.map(async ([channel, value], at) => {
      const [type, bytes] = await serde.dumpsTyped(value)
      const index = WRITES_IDX_MAP[channel] ?? at
      const text =
        type === 'json' ? Buffer.from(bytes).toString() : JSON.stringify(Buffer.from(bytes).toString('base64'))
      return `${JSON.stringify({ index, channel, type }).slice(0, -1)},"value":${text}}`
    }),
  )
  return `[${items.join(',')}]`
}

/**
 * What is pending, in the order in which it is applied. Of several writes by one task at one place the first counts, as of a task that ran
 * again; of those with a meaning of their own, such as an error, the last.
 * @param tasks in the order in which they came.
 */
export async function readWrites(
  tasks: readonly TaskWrites[],
  serde: SerializerProtocol,
): Promise<CheckpointPendingWrite[]> {
  const kept = new Map<string, { readonly task: TaskWrites; readonly write: StoredWrite }>()
  for (const task of tasks) {
    for (const write of task.writes) {
      const key = `${task.taskId} ${write.index}`
      if (write.index < 0 || !kept.has(key)) kept.set(key, { task, write })
    }
  }
  const keyed = [...kept.values()].map((one) => ({
    ...one,
    key: writesSortKey(one.task.taskPath, one.task.taskId, one.write.index),
  }))
  keyed.sort((one, other) => compareWritesSortKeys(one.key, other.key))
  return await Promise.all(
    keyed.map(async ({ task, write: { channel, type, value } }): Promise<CheckpointPendingWrite> => {
      const read = type === 'json' ? revive(value, serde) : serde.loadsTyped(type, Buffer.from(String(value), 'base64'))
      return [task.taskId, channel, await read]
    }),
  )
}
