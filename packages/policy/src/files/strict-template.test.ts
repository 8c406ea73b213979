import { Template } from '@huggingface/jinja';
import { expect, test } from 'vitest';
import { strictTemplate } from './strict-template.js';

const messages = [{ role: 'user', content: ' hi ', calls: [{ function: { name: 'f' } }] }];

test.each([
  ['{{ messages[0].role }}', 'user'],
  ['{{ messages[0]["calls"][0].function.name }}', 'f'],
  ['{{ messages[0].content.strip() | upper }}', 'HI'],
  ['{{ messages[-1].missing is defined }}', 'false'],
  ['{% if messages[0].missing %}x{% else %}y{% endif %}', 'y'],
  ['{% set ns = namespace(n=1) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}', '2'],
  ['{% for m in messages[:1] %}{{ loop.first }}{{ m.content.strip().split("h")[1] }}{% endfor %}', 'truei'],
  ['{% macro f(m) %}{{ m.role }}{% endmacro %}{{ f(messages[0]) }}', 'user'],
  ['{{ {"a": messages[0].role}.a }}', 'user'],
])('%s gives what it gave', (source, text) => {
  expect(strictTemplate(source).render({ messages })).toBe(text);
  expect(new Template(source).render({ messages })).toBe(text);
});

test.each([
  ['{{ messages[1].role }}', 'messages.1 is undefined'],
  ['{{ messages[0].missing.more }}', 'messages.0.missing is undefined'],
  ['{{ messages[0].missing.more is defined }}', 'messages.0.missing is undefined'],
  ['{% if tools[0] %}{% endif %}', 'tools is undefined'],
])('%s is refused, as by Jinja2', (source, message) => {
  expect(() => strictTemplate(source).render({ messages })).toThrow(message);
});
