import type { Part } from './parts.ts'
import { capturesByPut, gibibyte } from './parts-in.ts'
import { aliases, firstByte, throughput } from './parts-out.ts'

const beside = 'S3, PostgreSQL and clients'

export const PAYLOAD_PARTS: readonly Part[] = [
  { name: 'throughput', beside, work: throughput },
  { name: 'first-byte', beside, work: firstByte },
  { name: 'aliases', beside, work: aliases },
  { name: 'put', beside, work: capturesByPut },
  { name: 'huge', beside, work: gibibyte },
]
