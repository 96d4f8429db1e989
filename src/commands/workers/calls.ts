import { AppError, ERRORS, type ErrorCode } from '../../errors.ts'

/** To a process at the other end, and from it. */
export interface Wire {
  /** Resolves when it is on its way; there may be nobody any more. */
  send(message: object): Promise<void>
  onMessage(listener: (message: unknown) => void): void
}

// biome-ignore lint/suspicious/noExplicitAny: of any functions the parameters are asked for
export type Functions = { readonly [Name in string]: (...args: any[]) => unknown }
type Answer<F extends Functions, Name extends keyof F> = Promise<Awaited<ReturnType<F[Name]>>>

/** What one side asks of the other. */
export interface Calls<Theirs extends Functions> {
  /** @throws what the function throws, where that has a code; AppError `OVERLOADED` where the other side is gone. */
  ask<Name extends keyof Theirs & string>(name: Name, ...args: Parameters<Theirs[Name]>): Answer<Theirs, Name>
  /** Waits for no answer. Resolves when it is on its way. */
  tell<Name extends keyof Theirs & string>(name: Name, ...args: Parameters<Theirs[Name]>): Promise<void>
  /** Nobody is there any more: whoever waits for an answer is told. */
  close(): void
}

interface Message {
  readonly call?: string
  readonly args?: readonly unknown[]
  /** Of a call that wants an answer, and of the answer. */
  readonly id?: number
  readonly value?: unknown
  readonly failure?: { readonly code: string; readonly message: string }
}

/** Calls over a wire that carries JSON: each side offers some functions to the other. */
export function createCalls<Theirs extends Functions>(wire: Wire, ours: Functions): Calls<Theirs> {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  let lastId = 0
  let isClosed = false

  async function serve({ call = '', args = [], id }: Message): Promise<void> {
    try {
      const value = await ours[call]?.(...args)
      if (id !== undefined) await wire.send({ id, value })
    } catch (error) {
      if (id !== undefined) await wire.send({ id, failure: failureOf(error) })
    }
  }

  function settle({ id = 0, value, failure }: Message): void {
    const asked = waiting.get(id)
    waiting.delete(id)
    if (failure) asked?.reject(new AppError(codeOf(failure.code), failure.message))
    else asked?.resolve(value)
  }

  wire.onMessage((received) => {
    const message = received as Message
    if (message.call !== undefined) void serve(message)
    else settle(message)
  })

  return {
    async ask(call, ...args) {
      if (isClosed) throw gone()
      const asked = Promise.withResolvers<unknown>()
      const id = ++lastId
      waiting.set(id, asked)
      await wire.send({ call, args, id })
      return (await asked.promise) as never
    },
    tell: (call, ...args) => wire.send({ call, args }),
    close() {
      isClosed = true
      for (const asked of waiting.values()) asked.reject(gone())
      waiting.clear()
    },
  }
}

function gone(): AppError {
  return new AppError('OVERLOADED', 'This server is about to stop')
}

function failureOf(error: unknown): NonNullable<Message['failure']> {
  if (error instanceof AppError) return { code: error.code, message: error.message }
  return { code: 'INTERNAL_SERVER_ERROR', message: 'Another process of this server failed' }
}

function codeOf(code: string): ErrorCode {
  return Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'INTERNAL_SERVER_ERROR'
}
