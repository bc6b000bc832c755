import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { fixturePlan } from './fixture-module.ts';
import { renderWrapper, wrapperTemplate } from './wrapper.ts';

const template = readFileSync(wrapperTemplate, 'utf8');
const options = { namespaces: [], template, replace: true, description: 'fix' };

/** Just enough of the kernel's headers for the wrapper to compile. */
const headers = `
#include <stdbool.h>
#define THIS_MODULE ((void *)0)
#define module_init(f) int (*init_module_)(void) = f;
#define module_exit(f) void (*exit_module_)(void) = f;
#define MODULE_LICENSE(text) const char license[] = text;
#define MODULE_INFO(tag, text) const char tag[] = text;
#define MODULE_DESCRIPTION(text) const char description[] = text;
struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; };
struct klp_object;
struct klp_callbacks {
  int (*pre_patch)(struct klp_object *);
  void (*post_patch)(struct klp_object *), (*pre_unpatch)(struct klp_object *), (*post_unpatch)(struct klp_object *);
};
struct klp_object { const char *name; struct klp_func *funcs; struct klp_callbacks callbacks; };
struct klp_state { unsigned long id; unsigned int version; void *data; };
struct klp_patch { void *mod; struct klp_object *objs; struct klp_state *states; _Bool replace; };
int klp_enable_patch(struct klp_patch *);
`;

function compiled(text: string): string {
  return Buffer.from(
    compileC(headers + text.replaceAll(/^#include.*$/gm, ''), ['-Wall', '-Werror']),
  ).toString('latin1');
}

test('renderWrapper() gives C that compiles and names what is patched', { skip: missingCompiler }, () => {
  const object = compiled(renderWrapper(fixturePlan, options));
  for (const text of ['meminfo_proc_show', 'cmdline_proc_show', 'nft_do_chain', 'nf_tables', 'kstitch_new_2'])
    assert.ok(object.includes(text), text);
});

test('renderWrapper() keeps functions with their objects, and gives vmlinux no name', () => {
  const text = renderWrapper(fixturePlan, options);
  assert.match(
    text,
    /kstitch_functions_0\[\] = \{[^}]*"meminfo_proc_show",\s*\.new_func = kstitch_new_0,\s*\.old_sympos = 0,/,
  );
  assert.match(text, /"cmdline_proc_show",\s*\.new_func = kstitch_new_1,\s*\.old_sympos = 2,/);
  assert.match(
    text,
    /\{\s*\.funcs = kstitch_functions_0,\s*\},\s*\{\s*\.name = "nf_tables",\s*\.funcs = kstitch_functions_1,/,
  );
  assert.doesNotMatch(text, /"vmlinux"|intree/);
  assert.match(text, /^\/\/ SPDX-License-Identifier: GPL-2\.0-only\n/);
});

test('renderWrapper() gives an object its callbacks, one function for several, and the livepatch its states', () => {
  const text = renderWrapper(fixturePlan, options);
  assert.match(text, /kstitch_functions_2\[\] = \{\s*\{ \}\s*\};/);
  assert.match(
    text,
    /"dummy",\s*\.funcs = kstitch_functions_2,\s*\.callbacks\.post_patch = kstitch_new_3,\s*\.callbacks\.pre_unpatch = kstitch_new_3,\s*\},/,
  );
  assert.equal(text.split('extern void kstitch_new_3(struct klp_object *);').length, 2);
  assert.match(
    text,
    /kstitch_states\[\] = \{\s*\{ \.id = 7UL, \.version = 2U \},\s*\{ \.id = 4294967295UL, \.version = 0U \},\s*\{ \}\s*\};/,
  );
  assert.match(text, /^struct klp_patch kstitch_patch = \{[^}]*\.states = kstitch_states,/m);
});

test('renderWrapper() declares a pre_patch callback as what may fail', { skip: missingCompiler }, () => {
  const [, , dummy] = fixturePlan.objects;
  assert.ok(dummy !== undefined);
  const callbacks = [{ kind: 'pre_patch', name: 'f', unit: 'a.c', newSymbol: 'kstitch_new_3' }] as const;
  const text = renderWrapper({ ...fixturePlan, objects: [{ ...dummy, callbacks }] }, options);
  assert.match(text, /^extern int kstitch_new_3\(struct klp_object \*\);$/m);
  compiled(text);
});

test('renderWrapper() writes replace as it is asked to, and the same text every time', () => {
  assert.match(renderWrapper(fixturePlan, options), /\.replace = true,/);
  assert.match(renderWrapper(fixturePlan, { ...options, replace: false }), /\.replace = false,/);
  assert.equal(renderWrapper(fixturePlan, options), renderWrapper(structuredClone(fixturePlan), options));
});

test('renderWrapper() imports the namespaces of what it links to', () => {
  const text = renderWrapper(fixturePlan, { ...options, namespaces: ['CXL', 'DMA_BUF'] });
  assert.match(text, /^MODULE_INFO\(import_ns, "CXL"\);\nMODULE_INFO\(import_ns, "DMA_BUF"\);$/m);
});

test('renderWrapper() escapes the description, digits after it included', { skip: missingCompiler }, () => {
  const description = 'a "quote"\\ ??/ \n5 ü @module@';
  const object = compiled(renderWrapper(fixturePlan, { ...options, description }));
  assert.ok(object.includes(Buffer.from(`${description}\0`).toString('latin1')));
});

const [vmlinux, module] = fixturePlan.objects;
assert.ok(vmlinux !== undefined && module !== undefined);
const [f] = vmlinux.functions;
const [reference] = fixturePlan.references;
const callback = { kind: 'pre_patch', name: 'f', unit: 'a.c', newSymbol: 'kstitch_new_8' } as const;
const state = { id: 1, version: 1, unit: 'a.c' };
assert.ok(f !== undefined && reference !== undefined);

for (const [what, plan] of [
  ['a quote in a name', { ...fixturePlan, objects: [{ ...vmlinux, functions: [{ ...f, oldName: 'a"b' }] }] }],
  ['a dash in a module', { ...fixturePlan, objects: [{ ...module, name: 'nf-tables' }] }],
  ['a long module name', { ...fixturePlan, moduleName: 'k'.repeat(56) }],
  [
    'an alias of another form',
    { ...fixturePlan, objects: [{ ...vmlinux, functions: [{ ...f, newSymbol: 'x' }] }] },
  ],
  ['one function twice', { ...fixturePlan, objects: [{ ...vmlinux, functions: [f, f] }] }],
  [
    'one alias twice',
    { ...fixturePlan, objects: [vmlinux, { ...module, functions: [{ ...f, newSymbol: 'kstitch_new_1' }] }] },
  ],
  ['one object twice', { ...fixturePlan, objects: [vmlinux, vmlinux] }],
  ['no objects', { ...fixturePlan, objects: [] }],
  ['no functions', { ...fixturePlan, objects: [{ ...vmlinux, functions: [] }], states: [] }],
  ['a callback twice', { ...fixturePlan, objects: [{ ...vmlinux, callbacks: [callback, callback] }] }],
  [
    'a callback that is no new function',
    { ...fixturePlan, objects: [{ ...vmlinux, callbacks: [{ ...callback, newSymbol: 'x' }] }] },
  ],
  ['a state twice', { ...fixturePlan, states: [state, state] }],
  ['state 0', { ...fixturePlan, states: [{ ...state, id: 0 }] }],
  ['a version that is no number', { ...fixturePlan, states: [{ ...state, version: 0.5 }] }],
  ['a negative sympos', { ...fixturePlan, references: [{ ...reference, sympos: -1 }] }],
  ['a comma in a reference', { ...fixturePlan, references: [{ ...reference, name: 'a,1' }] }],
  ['a dot in a gate', { ...fixturePlan, references: [{ ...reference, gate: 'a.b' }] }],
  ['one reference twice', { ...fixturePlan, references: [reference, reference] }],
] as const) {
  test(`renderWrapper() refuses ${what}`, () => {
    assert.throws(() => renderWrapper(plan, options), { code: 'livepatch-plan-invalid' });
  });
}
