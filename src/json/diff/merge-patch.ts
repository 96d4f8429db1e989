import type { Compared } from './compared.ts'

export async function mergePatchOf(_compared: Compared): Promise<AsyncGenerator<Buffer> | null> {
  return null
}
