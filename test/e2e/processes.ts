import { readdir, readFile } from 'node:fs/promises'

/** Command lines of the processes that name the folder: what a server left running that works in it. Linux alone can tell. */
export async function livingProcessesOf(folder: string): Promise<readonly string[]> {
  const pids = await readdir('/proc').catch(() => [])
  const commands = pids
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''))
  return (await Promise.all(commands)).filter((command) => command.includes(folder))
}
