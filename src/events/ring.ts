import type { LiveEvent } from './event.ts'
import { createTopic, type OpenTopic, type Topic } from './topic.ts'

/** The last events of this process, by topics that somebody reads. */
export interface Ring {
  /** The topic of that name; made for its first reader. */
  open(name: string): Topic
  /** To be called once by each who opened it: with the last reader its events go. */
  close(name: string): void
  has(name: string): boolean
  /** Of the topics that have readers. */
  names(): Iterable<string>
  /** Adds to a topic, and wakes its readers; nothing where it has none. */
  push(name: string, event: LiveEvent): void
  /** Forgets all events: every reader has fallen behind. */
  clear(): void
}

export interface RingOptions {
  readonly maxEvents?: number
  readonly maxBytes?: number
}

export function createRing({ maxEvents = 10_000, maxBytes = 16_777_216 }: RingOptions = {}): Ring {
  const topics = new Map<string, OpenTopic>()
  /** Topics of the events, oldest first. */
  const order = new Map<number, OpenTopic>()
  let added = 0
  let bytes = 0

  function evict(): void {
    while (order.size > maxEvents || (bytes > maxBytes && order.size > 1)) {
      const [oldest] = order.values()
      const entry = oldest?.dropFirst()
      if (!entry) return
      order.delete(entry.number)
      bytes -= entry.sizeBytes
    }
  }

  function forget(topic: OpenTopic): void {
    for (const { number, sizeBytes } of topic.dropAll()) {
      order.delete(number)
      bytes -= sizeBytes
    }
  }

  return {
    open(name) {
      const topic = topics.get(name) ?? createTopic()
      topics.set(name, topic)
      topic.readers++
      return topic
    },
    close(name) {
      const topic = topics.get(name)
      if (!topic || --topic.readers > 0) return
      topics.delete(name)
      forget(topic)
    },
    has: (name) => topics.has(name),
    names: () => topics.keys(),
    push(name, event) {
      const topic = topics.get(name)
      if (!topic) return
      order.set(added, topic)
      bytes += topic.add(added, event)
      added++
      evict()
    },
    clear() {
      for (const topic of topics.values()) forget(topic)
    },
  }
}
