import assert from 'node:assert/strict'
import { it } from 'node:test'
import { accepts, jsonTypeOf, patienceOf, readAccept } from '../../src/server/negotiation.ts'

it('a coding is accepted only where the client says so, by either of its names', () => {
  const takes = (header: string) => accepts({ 'accept-encoding': header }, 'gzip')
  for (const header of [
    'gzip',
    'br, GZIP',
    'gzip;q=0.1',
    'gzip; Q=1',
    'x-gzip',
    '*',
    'identity, *;q=0.5',
    ', gzip;, br',
  ]) {
    assert.ok(takes(header), header)
  }
  for (const header of ['', 'identity', 'br', 'gzip;q=0', 'gzip; q=0.0', '*, gzip;q=0', 'xgzip', 'gzip;q=x']) {
    assert.ok(!takes(header), header)
  }
  assert.ok(!accepts({}, 'gzip'))
})

it('a media type is wanted as much as the range says that fits it best', () => {
  const weightOf = (accept: string) => readAccept({ accept }).weightOf('application/json')
  const weights: Readonly<Record<string, number>> = {
    '': 1,
    '*/*': 1,
    'Application/JSON': 1,
    'application/json;charset=utf-8 ; q=0.5': 0.5,
    'application/json;profile="a, b;q=0";q=0.25, text/html': 0.25,
    '*/*;q=0.1, application/*;q=0.2': 0.2,
    'application/*, application/json;q=0': 0,
    'application/graphql-response+json, application/jsonp': 0,
    'text/*': 0,
    'application/json;q=much': 0,
    ', ,application/json;;': 1,
  }
  for (const [accept, weight] of Object.entries(weights)) assert.equal(weightOf(accept), weight, accept)
  assert.equal(readAccept({}).weightOf('text/html'), 1)
  assert.equal(readAccept({ accept: '*/*, text/*' }).namedWeightOf('text/html'), 0)
})

it('JSON in UTF-8 is known by its media type, whatever else is said of it', () => {
  const json = 'application/json'
  const types: Readonly<Record<string, string | undefined>> = {
    [json]: json,
    'application/json;': json,
    'application/json; charset=utf-8;': json,
    ' Application/JSON ;; charset="UTF-8" ; version=1': json,
    'application/json;profile="a;b, c"': json,
    'application/json;charset=utf8': json,
    'Application/GEO+json': 'application/geo+json',
    'application/vnd.api+json; ext="x"': 'application/vnd.api+json',
    'application/json;charset=utf-16': undefined,
    'application/json, text/plain': undefined,
    'text/plain, application/json': undefined,
    'application/jsonp': undefined,
    'application/json-seq': undefined,
    'application/+json': undefined,
    'text/json': undefined,
    json: undefined,
    '': undefined,
  }
  for (const [header, type] of Object.entries(types)) assert.equal(jsonTypeOf({ 'content-type': header }), type, header)
  assert.equal(jsonTypeOf({}), undefined)
})

it('a client waits as long as it says, in whole seconds', () => {
  const millis: Readonly<Record<string, number | undefined>> = {
    'wait=2': 2000,
    'respond-async, WAIT="10"; x=y': 10_000,
    'wait=0': 0,
    'waiting=3': undefined,
    'wait=-1': undefined,
    'wait=1e9': undefined,
    'handling=lenient': undefined,
  }
  for (const [prefer, expected] of Object.entries(millis)) assert.equal(patienceOf({ prefer }), expected, prefer)
  assert.equal(patienceOf({}), undefined)
})
