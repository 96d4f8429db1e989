/**
 * statelens where a framework hands `Request`s on, as a route of Next.js does: `app/api/states/[...path]/route.ts`. The server is made once
 * a process, and not once a reload.
 */
import { createStatelens, type Statelens } from 'statelens'

const kept = globalThis as typeof globalThis & { statelens?: Promise<Statelens> }

function open(): Promise<Statelens> {
  const databaseUrl = process.env['DATABASE_URL']
  kept.statelens ??= createStatelens({
    migrate: true,
    settings: {
      PUBLIC_URL: process.env['PUBLIC_URL'] ?? 'http://localhost:3000/api/states',
      ...(databaseUrl ? { DATABASE_URL: databaseUrl } : {}),
    },
  })
  return kept.statelens
}

async function handle(request: Request): Promise<Response> {
  return await (await open()).fetch(request)
}

export { handle as DELETE, handle as GET, handle as HEAD, handle as OPTIONS, handle as POST, handle as PUT }
