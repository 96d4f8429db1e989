import { isNonNullType } from 'graphql'
import { type FieldPlan, isPromise, type ObjectPlan } from './execution.ts'
import { executeField, executeLeaf } from './fields.ts'
import { weigh } from './leaves.ts'

/** What the text of a function for objects refers to. */
const SCOPE = { executeField, executeLeaf, isPromise, weigh, settle }

/**
 * Makes objects of these fields by a function of its own text: that is many times faster than a loop over names, and the keys of
 * a literal keep their order whenever their values come. What stands in the text is of the operation only names: in GraphQL these
 * are letters, digits and `_`.
 */
export function createObject(fields: readonly FieldPlan[]): ObjectPlan['execute'] {
  const values = fields.map((_field, index) => `value${index}`)
  const text = `
    const { ${Object.keys(SCOPE).join(', ')} } = scope
    ${fields.map(({ keeps }, index) => (keeps ? `const keeps${index} = fields[${index}].keeps` : '')).join('\n    ')}
    const build = ([${values.join(', ')}]) => ${literal(fields, values)}
    return (execution, source, path) => {
      const parent = { execution, source, path }
      let texts = 0
      let isPending = false
      ${values.map((value) => `let ${value}`).join('\n      ')}
      try {
        ${fields.map((field, index) => statement(field, index)).join('\n        ')}
        weigh(execution, texts)
      } catch (error) {
        if (!isPending) throw error
        return settle([${values.join(', ')}], error)
      }
      return isPending ? Promise.all([${values.join(', ')}]).then(build) : ${literal(fields, values)}
    }`
  return new Function('scope', 'fields', text)(SCOPE, fields)
}

function literal(fields: readonly FieldPlan[], values: readonly string[]): string {
  // In brackets it is a key like any other.
  const keys = fields.map(({ key }) => (key === '__proto__' ? '["__proto__"]' : key))
  return `({ ${keys.map((key, index) => `${key}: ${values[index]}`).join(', ')} })`
}

/** What gives a field its value. Most of an answer are leaves that stay as they are, and to see that is all that is done for them. */
function statement({ definition, isPlainLeaf, keeps }: FieldPlan, index: number): string {
  const value = `value${index}`
  const field = `fields[${index}]`
  const read = definition.resolve ? 'undefined' : `source.${definition.name}`
  if (!isPlainLeaf) return `${value} = executeField(parent, ${field}, ${read}); isPending ||= isPromise(${value})`
  if (!keeps) return `${value} = executeLeaf(parent, ${field}, ${read})`
  const isKept = isNonNullType(definition.type) ? '' : `if (${value} === null) {} else `
  return `${value} = ${read}
        ${isKept}if (${value} != null && keeps${index}(${value})) {
          if (typeof ${value} === 'string') texts += ${value}.length
        } else ${value} = executeLeaf(parent, ${field}, ${value})`
}

/** Fields that are under way are waited for: nobody else would hear of their failures, and the first one counts. */
function settle(values: readonly unknown[], error: unknown): Promise<unknown> {
  return Promise.all(values).finally(() => {
    throw error
  })
}
