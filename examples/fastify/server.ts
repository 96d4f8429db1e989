/** statelens inside Fastify, below /states: `DATABASE_URL=… npx tsx server.ts`, or `node server.ts` where Node runs TypeScript. */
import Fastify, { type FastifyInstance } from 'fastify'
import { createStatelens } from 'statelens'

export async function createServer(settings: Record<string, string>): Promise<FastifyInstance> {
  const statelens = await createStatelens({ settings, migrate: true })
  const app = Fastify()
  // Whoever may call the application may look at its runs: decide here who that is.
  await app.register(
    async (states) => {
      // States pass as they are, at any size: nothing of them is parsed on the way.
      states.removeAllContentTypeParsers()
      states.addContentTypeParser('*', (_request, _body, done) => done(null))
      states.all('/*', { exposeHeadRoute: false }, (request, reply) => {
        reply.hijack()
        statelens.handler(request.raw, reply.raw)
      })
    },
    { prefix: '/states' },
  )
  app.server.on('upgrade', statelens.upgrade)
  app.addHook('onClose', () => statelens.close())

  app.post<{ Params: { order: string } }>('/orders/:order', async ({ params, body }) => {
    const runId = `order-${params.order}`
    await statelens.writer.upsertRun({ runId, workflowName: 'order', status: 'RUNNING' })
    const { snapshotId } = await statelens.writer.capture({ runId, stepId: 'received', kind: 'INPUT' }, { value: body })
    return { runId, snapshotId }
  })
  return app
}

if (import.meta.main) {
  const port = Number(process.env['PORT'] ?? 3000)
  const settings = {
    PUBLIC_URL: `http://127.0.0.1:${port}/states`,
    ...(process.env['DATABASE_URL'] ? { DATABASE_URL: process.env['DATABASE_URL'] } : {}),
  }
  const app = await createServer(settings)
  console.log(`${await app.listen({ port })}/states/explorer/`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())
}
