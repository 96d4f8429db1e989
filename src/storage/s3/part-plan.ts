const MIB = 1024 * 1024

export interface PartRules {
  /** The most parts of one upload. */
  readonly maxParts: number
  /** The least that a part may have which is not the last, and what one has while nothing asks for more. */
  readonly partBytes: number
  /** Bodies of a known length are held whole up to here, and then sent at once: what a put of parts holds anyway. */
  readonly wholeBytes: number
  /** The most that one put holds in memory: parts on their way, and the one that is being filled. */
  readonly heldBytes: number
  /** Parts of a body that does not say where it ends grow: so many of each size, in order, and of the last one all the rest. */
  readonly growth: readonly { readonly parts: number; readonly partBytes: number }[]
}

/** S3's own limits, with parts as small as they may be. */
export const S3_PART_RULES: PartRules = {
  maxParts: 10_000,
  partBytes: 5 * MIB,
  wholeBytes: 4 * 5 * MIB,
  heldBytes: 64 * MIB,
  growth: [
    { parts: 1000, partBytes: 5 * MIB },
    { parts: 1000, partBytes: 10 * MIB },
    { parts: 1000, partBytes: 20 * MIB },
    { parts: 7000, partBytes: 32 * MIB },
  ],
}

/** How a body is cut. */
export interface PartPlan {
  /** Whether a part is held in memory until the store has it, so that it can be sent again. Otherwise it is streamed, once. */
  readonly isHeld: boolean
  /** The most that the store takes in parts of this plan. */
  readonly maxBytes: number
  /** @param index counts from 0. */
  sizeOf(index: number): number
}

/**
 * A part is as small as the length of the body allows, and held. What no length is known of begins as small, and grows with
 * what has come. A body that is larger than parts in memory can carry is streamed: its length says how large each part is.
 */
export function planParts(sizeBytes: number | undefined, rules: PartRules): PartPlan {
  const { maxParts, partBytes, growth } = rules
  if (sizeBytes !== undefined && sizeBytes <= maxParts * partBytes) return evenPlan(partBytes, rules)
  const largest = growth.reduce((total, stage) => total + stage.parts * stage.partBytes, 0)
  if (sizeBytes !== undefined && sizeBytes > largest) {
    return { ...evenPlan(Math.ceil(sizeBytes / maxParts), rules), isHeld: false }
  }
  return { isHeld: true, maxBytes: largest, sizeOf: (index) => grownSize(index, growth) }
}

function evenPlan(partBytes: number, { maxParts }: PartRules): PartPlan {
  return { isHeld: true, maxBytes: partBytes * maxParts, sizeOf: () => partBytes }
}

function grownSize(index: number, growth: PartRules['growth']): number {
  let first = 0
  for (const { parts, partBytes } of growth) {
    first += parts
    if (index < first) return partBytes
  }
  return growth.at(-1)?.partBytes ?? 0
}
