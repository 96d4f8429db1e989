import { once } from 'node:events'
import { WebSocket } from 'ws'

export interface Told {
  readonly data?: Readonly<Record<string, { readonly __typename: string; readonly [field: string]: unknown }>> | null
  readonly errors?: readonly { readonly message: string; readonly extensions: { readonly code: string } }[]
}

/** A subscription as its client reads it. */
export interface Watching extends AsyncDisposable {
  /** The next answer; undefined when none comes any more. */
  next(): Promise<Told | undefined>
  /** All until one of this type, itself included, or until there is one with errors. */
  until(typeName: string): Promise<readonly Told[]>
  /** All that came, as it came. */
  text(): string
}

export interface WatchOptions {
  readonly token?: string | undefined
  readonly variables?: object
}

export const WAYS = ['SSE', 'WebSocket'] as const

/** Subscribes by one of the ways that there are; what refuses it is the first answer. */
export function watchBy(
  way: (typeof WAYS)[number],
  origin: string,
  query: string,
  options: WatchOptions = {},
): Promise<Watching> {
  return way === 'SSE' ? watchBySse(origin, { query, ...options }) : watchByWebSocket(origin, { query, ...options })
}

type Asked = WatchOptions & { readonly query: string }

async function watchBySse(origin: string, { query, variables, token }: Asked): Promise<Watching> {
  const left = new AbortController()
  const response = await fetch(`${origin}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query, variables }),
    signal: left.signal,
  })
  let text = JSON.stringify([...response.headers])
  async function* read(): AsyncGenerator<Told> {
    let rest = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      rest += Buffer.from(chunk).toString()
      const blocks = rest.split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const [, json] = /^data: (.*)$/m.exec(block) ?? []
        if (json) yield JSON.parse(json)
      }
    }
    if (rest.startsWith('{')) yield JSON.parse(rest)
  }
  return watching(read(), { text: () => text, leave: () => left.abort() })
}

async function watchByWebSocket(origin: string, { query, variables, token }: Asked): Promise<Watching> {
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  const heard: { type: string; payload?: unknown }[] = []
  let text = ''
  let isOver = false
  let wake = () => {}
  socket.on('message', (data) => {
    text += data.toString()
    heard.push(JSON.parse(data.toString()))
    wake()
  })
  socket.on('close', () => {
    isOver = true
    wake()
  })
  await once(socket, 'open')
  socket.send(
    JSON.stringify({
      type: 'connection_init',
      payload: token === undefined ? {} : { authorization: `Bearer ${token}` },
    }),
  )
  async function* read(): AsyncGenerator<Told> {
    for (;;) {
      const message = heard.shift()
      if (message?.type === 'connection_ack')
        socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query, variables } }))
      else if (message?.type === 'next') yield message.payload as Told
      else if (message?.type === 'error') return yield { errors: message.payload as NonNullable<Told['errors']> }
      else if (message?.type === 'complete' || (!message && isOver)) return
      if (heard.length > 0 || isOver) continue
      const { promise, resolve } = Promise.withResolvers<void>()
      wake = resolve
      await promise
    }
  }
  return watching(read(), { text: () => text, leave: () => socket.terminate() })
}

function watching(
  read: AsyncGenerator<Told>,
  { text, leave }: { readonly text: () => string; readonly leave: () => void },
): Watching {
  const next = async () => {
    const { value, done } = await read.next()
    return done ? undefined : value
  }
  return {
    next,
    text,
    async until(typeName) {
      const all: Told[] = []
      for (;;) {
        const told = await next()
        if (!told) return all
        all.push(told)
        if (told.errors && !told.data) return all
        if (Object.values(told.data ?? {}).some((event) => event?.__typename === typeName)) return all
      }
    },
    async [Symbol.asyncDispose]() {
      leave()
    },
  }
}

/** Codes of what refused or ended it. */
export function codesTold(all: readonly Told[]): readonly string[] {
  return all.flatMap(({ errors = [] }) => errors.map(({ extensions }) => extensions.code))
}
