import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createHost, freePort } from '../../test/support/broker/host.ts'
import { isUnavailable } from '../../test/support/describe-with.ts'
import { nginx as findNginx } from '../../test/support/nginx.ts'
import type { Session } from './session.ts'
import type { State } from './states.ts'

/** nginx on the servers' core with the state as a file; null where it cannot be had. */
export async function startNginx(session: Session, pin: readonly string[], state: State): Promise<string | null> {
  session.throwIfOver()
  const found = await findNginx()
  if (isUnavailable(found)) return null
  const host = await createHost()
  await session.defer(() => host.stop())
  const port = await freePort()
  await writeFile(join(host.folder, 'state.json'), state.chunks())
  await writeFile(join(host.folder, 'nginx.conf'), settings(host.folder, port))
  const [command = '', ...args] = [...pin, found.command, '-p', host.folder, '-c', 'nginx.conf']
  const nginx = await host.launch(command, { args })
  const url = `http://127.0.0.1:${port}/state.json`
  for (let attempt = 0; attempt < 200 && !nginx.hasEnded(); attempt++) {
    if (await fetch(url, { method: 'HEAD' }).catch(() => null)) return url
    await delay(25)
  }
  throw new Error(`nginx did not start: ${(await nginx.log()).slice(-1000)}`)
}

function settings(folder: string, port: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  // The folder is the user's own, and workers of root would become nobody, who may not read it.
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `${user} daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr;
events {}
http {
  access_log off; sendfile on; tcp_nopush on; default_type application/json; ${temporary.join(' ')}
  server { listen 127.0.0.1:${port}; root ${folder}; }
}
`
}
