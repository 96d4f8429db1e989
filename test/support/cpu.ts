/** Milliseconds of CPU that this process needs for something, whatever else the machine does: the least of three times. */
export async function cpuMillis(work: () => Promise<unknown>): Promise<number> {
  const took: number[] = []
  for (let i = 0; i < 3; i++) {
    const before = process.cpuUsage()
    await work()
    const { user, system } = process.cpuUsage(before)
    took.push((user + system) / 1000)
  }
  return Math.min(...took)
}
