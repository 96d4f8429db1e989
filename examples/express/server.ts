/** statelens inside Express, below /states, for those whom the application knows. */
import { createServer as createHttpServer, type Server } from 'node:http'
import express from 'express'
import { createStatelens, type LibraryViewer } from 'statelens'

/** Stands for the sessions of the application. */
const SESSIONS: Readonly<Record<string, LibraryViewer>> = {
  'session-of-ada': { name: 'ada', scopes: ['read', 'pii:read'] },
  'session-of-bob': { name: 'bob', scopes: ['read'] },
}

export interface Application {
  readonly server: Server
  close(): Promise<void>
}

export async function createServer(settings: Record<string, string>): Promise<Application> {
  const statelens = await createStatelens({
    settings,
    migrate: true,
    identify: ({ headers }) => SESSIONS[headers['x-session']?.toString() ?? ''] ?? null,
    authorize: (viewer, _action, { runId }) => viewer.name !== 'bob' || runId.startsWith('bob-'),
  })
  const app = express()
  // In front of what parses bodies.
  app.use('/states', statelens.handler)
  app.use(express.json())
  app.post('/agents/:run', async ({ params, body }, response) => {
    const captured = await statelens.writer.capture({ runId: params.run, stepId: 'think' }, { value: body })
    response.json(captured)
  })
  const server = createHttpServer(app).on('upgrade', statelens.upgrade)
  return {
    server,
    async close() {
      server.closeAllConnections()
      server.close()
      await statelens.close()
    },
  }
}

if (import.meta.main) {
  const port = Number(process.env['PORT'] ?? 3000)
  const databaseUrl = process.env['DATABASE_URL']
  const settings = {
    PUBLIC_URL: `http://127.0.0.1:${port}/states`,
    ...(databaseUrl ? { DATABASE_URL: databaseUrl } : {}),
  }
  const application = await createServer(settings)
  application.server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/states/`))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => application.close())
}
