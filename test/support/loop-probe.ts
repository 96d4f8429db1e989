/*
 * Loaded before a server of its own process: on SIGUSR2 it says what the loop was held for at most since the last time, in milliseconds
 * of the main thread's CPU, which other processes do not change.
 */
let held = 0
let last = process.threadCpuUsage()

setInterval(() => {
  const { user, system } = process.threadCpuUsage(last)
  last = process.threadCpuUsage()
  held = Math.max(held, (user + system) / 1000)
}, 2).unref()

process.on('SIGUSR2', () => {
  process.stderr.write(`held ${held.toFixed(1)} ms\n`)
  held = 0
})
