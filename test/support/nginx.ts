import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { findBinary, unpackDebian } from './broker/binaries.ts'
import { createHost } from './broker/host.ts'
import type { Unavailable } from './services.ts'
import { temporaryFolder } from './tmp.ts'

export interface Nginx {
  readonly command: string
}

/** The program, on the PATH or from Debian's package. */
export async function nginx(): Promise<Nginx | Unavailable> {
  const binary = await findBinary('nginx')
  if (binary) return { command: binary }
  const host = await createHost()
  try {
    const root = await unpackDebian(host, { name: 'nginx', packages: ['nginx'] })
    return root === null
      ? { unavailable: 'nginx is missing: put it on the PATH' }
      : { command: `${root}/usr/sbin/nginx` }
  } finally {
    await host.stop()
  }
}

/** @param http what stands in its `http` block; it listens on the given port of loopback. */
export async function startNginx({ command }: Nginx, port: number, http: string): Promise<AsyncDisposable> {
  await using cleanup = new AsyncDisposableStack()
  const { path } = cleanup.use(await temporaryFolder())
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const paths = temporary.map((name) => `${name}_temp_path ${path}/${name};`).join(' ')
  await Promise.all(temporary.map((name) => mkdir(`${path}/${name}`)))
  await writeFile(
    `${path}/nginx.conf`,
    `daemon off; master_process off; pid ${path}/pid; error_log stderr;
    events {}
    http { access_log off; ${paths} ${http} }`,
  )
  const child = spawn(command, ['-p', path, '-c', `${path}/nginx.conf`, '-e', 'stderr'], { stdio: 'pipe' })
  const ended = once(child, 'exit')
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  cleanup.defer(async () => {
    child.kill('SIGKILL')
    await ended
  })
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${log}`)
    await delay(20)
  }
  return cleanup.move()
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
