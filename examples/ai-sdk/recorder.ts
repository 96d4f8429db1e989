/** Records what the Vercel AI SDK asks of a model and what comes back, each call as a step of a run. */
import type { LanguageModelMiddleware } from 'ai'
import type { Client } from 'statelens/client'

export interface RecorderOptions {
  readonly client: Client
  readonly runId: string
  /** Told what could not be recorded: the call of the model goes on. */
  readonly onProblem: (error: unknown) => void
}

/** For `wrapLanguageModel`: of one run, so that its calls are numbered in their order. */
export function recordCalls({ client, runId, onProblem }: RecorderOptions): LanguageModelMiddleware {
  let calls = 0

  /** Records the question, and returns what records the answer. */
  async function begin(modelId: string, question: unknown) {
    const index = calls++
    const step = { runId, stepId: `call-${index}` }
    const startedAt = new Date()
    const record = async (act: () => Promise<unknown>) => void (await act().catch(onProblem))
    await record(async () => {
      await client.upsertStep({ ...step, index, name: modelId, kind: 'model', status: 'RUNNING', startedAt })
      await client.capture({ ...step, kind: 'INPUT' }, { value: question })
    })
    return {
      answered: (value: unknown, metadata: object) =>
        record(async () => {
          await client.capture({ ...step, kind: 'OUTPUT', metadata }, { value })
          await client.upsertStep({ ...step, status: 'SUCCEEDED', endedAt: new Date() })
        }),
      failed: (reason: unknown) =>
        record(async () => {
          const message = reason instanceof Error ? reason.message : String(reason)
          await client.upsertStep({ ...step, status: 'FAILED', endedAt: new Date(), error: { message } })
        }),
    }
  }

  return {
    specificationVersion: 'v4',
    async wrapGenerate({ doGenerate, params, model }) {
      const call = await begin(model.modelId, questionOf(params))
      try {
        const result = await doGenerate()
        await call.answered(result.content, { finishReason: result.finishReason, usage: result.usage })
        return result
      } catch (error) {
        await call.failed(error)
        throw error
      }
    },
    async wrapStream({ doStream, params, model }) {
      const call = await begin(model.modelId, questionOf(params))
      try {
        const { stream, ...rest } = await doStream()
        const parts: unknown[] = []
        let metadata = {}
        let failure: unknown
        const seen = stream.pipeThrough(
          new TransformStream<StreamPart, StreamPart>({
            transform(part, controller) {
              if (part.type === 'finish') metadata = { finishReason: part.finishReason, usage: part.usage }
              if (part.type === 'error') failure = part.error
              parts.push(part)
              controller.enqueue(part)
            },
            flush: () => (failure === undefined ? call.answered(parts, metadata) : call.failed(failure)),
          }),
        )
        return { ...rest, stream: seen }
      } catch (error) {
        await call.failed(error)
        throw error
      }
    },
  }
}

type WrapStream = NonNullable<LanguageModelMiddleware['wrapStream']>
type Params = Parameters<WrapStream>[0]['params']
type StreamPart = Awaited<ReturnType<WrapStream>>['stream'] extends ReadableStream<infer Part> ? Part : never

/** Neither headers, which may hold keys, nor signals. */
function questionOf({ prompt, tools, temperature, maxOutputTokens, responseFormat }: Params) {
  return { prompt, tools, temperature, maxOutputTokens, responseFormat }
}
