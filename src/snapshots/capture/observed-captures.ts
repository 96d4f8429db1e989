import type { Captured } from '../../model/snapshot.ts'
import type { Telemetry, Way } from '../../telemetry/telemetry.ts'
import type { Uploads } from './uploads.ts'
import type { SnapshotWriter } from './writer.ts'

/** The same ways in, where the bytes of what becomes a snapshot are told. */
export function observedCaptures<Ways extends { readonly writer: SnapshotWriter; readonly uploads: Uploads }>(
  ways: Ways,
  { payloadBytes }: Telemetry,
): Ways {
  const { writer, uploads } = ways

  async function told(capturing: Promise<Captured>, way: Way): Promise<Captured> {
    const captured = await capturing
    const { created, snapshot } = captured
    const tier = snapshot.storageUri === null ? 'inline' : 'object'
    if (created) payloadBytes('in', snapshot.sizeBytes ?? 0, { tier, way })
    return captured
  }

  return {
    ...ways,
    writer: { ...writer, capture: (...given) => told(writer.capture(...given), 'capture') },
    uploads: { ...uploads, commit: (...given) => told(uploads.commit(...given), 'upload') },
  }
}
