#!/usr/bin/env node
'use strict'

// In words that any Node reads: an old one is told what to do, where the program itself would be a syntax error.
var version = process.versions.node
if (Number(version.split('.')[0]) < 24) {
  process.stderr.write(
    'statelens needs Node 24 or later, and this is Node ' +
      version +
      '.\n' +
      'Install it from https://nodejs.org, or use it for this command alone: npx -p node@24 -p statelens statelens\n',
  )
  process.exit(1)
}
import('../dist/main.js')
