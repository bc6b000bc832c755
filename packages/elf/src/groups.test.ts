import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { GRP, SHT } from './constants.ts';
import { editElf } from './edit.ts';
import { readGroups } from './groups.ts';
import { readElf } from './read.ts';
import { writeElf } from './write.ts';

const source = `
  .section .text.first,"axG",@progbits,first_group,comdat
  .globl first_group
first_group: call elsewhere
  .section .data.first,"awG",@progbits,first_group,comdat
  .quad first_group
  .section .text.second,"axG",@progbits,second_group
second_group: ret
`;
const object = missingCompiler === false ? compileC(source, [], { language: 'assembler' }) : new Uint8Array();

test('a group has a signature, flags and members, their relocation sections included', {
  skip: missingCompiler,
}, () => {
  const groups = readGroups(readElf(object, 'groups.o')).map(({ flags, signature, members }) => ({
    flags,
    signature: signature.name,
    members: members.map(({ name }) => name),
  }));
  assert.deepEqual(groups, [
    {
      flags: GRP.COMDAT,
      signature: 'first_group',
      members: ['.text.first', '.rela.text.first', '.data.first', '.rela.data.first'],
    },
    { flags: 0, signature: 'second_group', members: ['.text.second'] },
  ]);
});

test('a member or signature that is not there is refused', { skip: missingCompiler }, () => {
  const section = readElf(object, 'groups.o').sections.find(({ sh_type }) => sh_type === SHT.GROUP)!;
  const broken = (change: (view: DataView) => void) => {
    const bytes = object.slice();
    change(new DataView(bytes.buffer));
    return () => readGroups(readElf(bytes, 'groups.o'));
  };
  assert.throws(
    broken(view => view.setUint32(section.sh_offset + 4, 9999, true)),
    { code: 'elf-malformed', message: /its member is section 9999, the file has \d+ sections/ },
  );
  const header = Number(new DataView(object.buffer).getBigUint64(40, true)) + section.index * 64;
  assert.throws(
    broken(view => view.setUint32(header + 44, 9999, true)),
    { code: 'elf-malformed', message: /its signature is symbol 9999/ },
  );
  assert.throws(
    broken(view => view.setBigUint64(header + 32, 6n, true)),
    { code: 'elf-malformed', message: /sh_size is 6/ },
  );
});

test('writing refuses groups and flags that disagree', { skip: missingCompiler }, () => {
  const open = () => {
    const { builder } = editElf(readElf(object, 'groups.o'));
    const group = builder.sections().find(({ content }) => content.kind === 'group')!;
    return { builder, group };
  };

  const flagWithoutGroup = open();
  flagWithoutGroup.builder.removeSection(flagWithoutGroup.group.id);
  assert.throws(() => writeElf(flagWithoutGroup.builder), /has SHF_GROUP but is in no group/);

  const groupWithoutFlag = open();
  groupWithoutFlag.builder.sectionsNamed('.text.first')[0]!.sh_flags = 6;
  assert.throws(() => writeElf(groupWithoutFlag.builder), /is in a group but lacks SHF_GROUP/);

  const inTwo = open();
  const [first, second] = inTwo.builder.sections().filter(({ content }) => content.kind === 'group');
  second!.content = first!.content;
  assert.throws(() => writeElf(inTwo.builder), /its member '\.text\.first' is in another group too/);

  const memberFirst = open();
  const { content } = memberFirst.group;
  memberFirst.builder.removeSection(memberFirst.group.id);
  memberFirst.builder.addSection({ name: '.group', content });
  assert.throws(() => writeElf(memberFirst.builder), {
    code: 'elf-not-encodable',
    message: "cannot write section group '.group': its member '.text.first' stands before it",
  });
});
