/**
 * The words of notes for an index. This file is TypeScript and AssemblyScript at once: by blocks and byte by byte, the same is noted.
 */

/** Numbers of a frame, which is kept for each open container: where it starts, its child and its group begin, and which child that is. */
export const FRAME_START = 0
export const FRAME_CHILD = 1
export const FRAME_GROUP = 2
export const FRAME_ORDINAL = 3
export const FRAME_SIZE = 4

/** Numbers of a note: its kind, the depth of the container that it is about, where that starts, and what the kind says. */
export const NOTE_SIZE = 6
/** A group may end at a comma: its offset, and the ordinal of the child behind it. */
export const NOTE_GROUP = 1
/** A child of at least a unit ended: where it began, the comma behind it or 0 where there is none, its ordinal. */
export const NOTE_CHILD = 2
/** A container of at least a unit ended: its end, and the number of its children. */
export const NOTE_CONTAINER = 3
/** A string, key or number of at least a unit ended: its start in place of the container's, and its end. */
export const NOTE_SCALAR = 4

/** Lengths that follow from the unit, as `GroupRules` has them. */
export const RULE_UNIT = 0
export const RULE_SMALLEST = 1
export const RULE_LARGEST = 2
export const RULE_CHANCE = 3
/** Where the document stands: the offset of the input, and where the newest string, key, number or literal starts. */
export const RULE_OFFSET = 4
export const RULE_TOKEN = 5
/** What is between a bracket and where its first group is taken to begin. */
export const RULE_FIRST = 6
export const RULES_SIZE = 8
