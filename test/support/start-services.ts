import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { BROKER_VARIABLE } from './services.ts'

const BROKER = fileURLToPath(new URL('broker/main.ts', import.meta.url))

let broker: ChildProcess | undefined

/**
 * Starts the broker of the test services. It is a process of its own, which ends all of them when its stdin closes:
 * then nothing is left running, however this process ends.
 */
export async function startServices(): Promise<void> {
  // Each test file is a process of its own, and all of them load the same modules.
  process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('../../node_modules/.cache/node', import.meta.url))
  // Detached: Ctrl-C reaches the test runner alone, and the broker stops its services in peace.
  const child = spawn(process.execPath, [BROKER], { detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
  broker = child
  const [socketPath] = await Promise.race([
    once(child.stdout.setEncoding('utf8'), 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('The broker of the test services ended at its start'))),
  ])
  process.env[BROKER_VARIABLE] = String(socketPath).trim()
}

export async function stopServices(): Promise<void> {
  if (!broker || broker.exitCode !== null) return
  broker.stdin?.end()
  await once(broker, 'exit')
}
