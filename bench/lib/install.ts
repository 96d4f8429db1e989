import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { note } from './report.ts'

const BENCH = join(import.meta.dirname, '..')

/** Installs what only the benches need, by the lock file of this folder, unless that was done. */
export async function installPeers(): Promise<void> {
  const changed = (path: string) =>
    stat(join(BENCH, path)).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    )
  if ((await changed('node_modules/.package-lock.json')) >= (await changed('package-lock.json'))) return
  note('Installing the peers into bench/node_modules …')
  const npm = spawn('npm', ['ci', '--no-audit', '--no-fund'], { cwd: BENCH, stdio: ['ignore', 2, 2] })
  const [code] = await once(npm, 'exit')
  if (code !== 0) throw new Error('npm ci in bench/ failed')
}
