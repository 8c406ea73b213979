import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Template } from '@huggingface/jinja';
import { KelpieError, messageOf, nearestNames } from '../errors.js';
import { isJsonObject, type JsonObject, parseJsonObject, readTextFile } from './json.js';
import { strictTemplate } from './strict-template.js';

export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [key: string]: unknown;
}

export interface ChatOptions {
  /** Ends the text where the assistant's answer begins. Default false. */
  readonly addGenerationPrompt?: boolean;
  readonly tools?: readonly unknown[];
  readonly documents?: readonly unknown[];
  /** Which of several templates. Default `default`, or `tool_use` where `tools` are given and there is one. */
  readonly template?: string;
  /** What else a template reads: `enable_thinking`, `date_string` ... A `strftime_now` here replaces the clock. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export interface ChatTemplate {
  /** The default template's source. */
  readonly source: string;
  readonly names: readonly string[];
  render(messages: readonly ChatMessage[], options?: ChatOptions): string;
}

/**
 * The chat template of a folder, from `chat_template.jinja` (and `additional_chat_templates/*.jinja`), or
 * `chat_template.json`, or `chat_template` in tokenizer_config.json, the first that is there, as transformers does.
 * `variables` are what every rendering sees: the special tokens, as strings.
 */
export async function readChatTemplate(
  folder: string,
  tokenizerConfig: JsonObject,
  variables: Readonly<Record<string, unknown>>,
): Promise<{ template?: ChatTemplate; files: string[] }> {
  const { templates, files } = await findTemplates(folder, tokenizerConfig);
  return templates.size === 0 ? { files } : { template: chatTemplate(templates, variables, folder), files };
}

async function findTemplates(
  folder: string,
  tokenizerConfig: JsonObject,
): Promise<{ templates: Map<string, string>; files: string[] }> {
  const templates = new Map<string, string>();
  const files: string[] = [];
  const jinja = await readTextFile(join(folder, 'chat_template.jinja'), true);
  if (jinja !== undefined) {
    templates.set('default', jinja);
    files.push('chat_template.jinja');
  }
  const additional = 'additional_chat_templates';
  for (const name of (await readdir(join(folder, additional)).catch(() => [] as string[])).sort()) {
    if (!name.endsWith('.jinja')) continue;
    const path = join(additional, name);
    templates.set(basename(name, '.jinja'), (await readTextFile(join(folder, path), false))!);
    files.push(path);
  }
  if (templates.size > 0) return { templates, files };
  const file = join(folder, 'chat_template.json');
  const text = await readTextFile(file, true);
  if (text !== undefined) {
    addTemplates(templates, parseJsonObject(text, file).chat_template, file);
    return { templates, files: ['chat_template.json'] };
  }
  addTemplates(templates, tokenizerConfig.chat_template, join(folder, 'tokenizer_config.json'));
  return { templates, files };
}

function addTemplates(templates: Map<string, string>, value: unknown, file: string): void {
  if (value === undefined || value === null) return;
  if (typeof value === 'string') {
    templates.set('default', value);
    return;
  }
  const entries: [string, unknown][] = Array.isArray(value)
    ? value.filter(isJsonObject).map((entry) => [String(entry.name), entry.template])
    : Object.entries(value);
  for (const [name, source] of entries) {
    if (typeof source !== 'string') {
      throw new KelpieError(`expected a template as text, got ${typeof source}`, {
        code: 'chat-template',
        where: { file, key: `chat_template ${name}` },
      });
    }
    templates.set(name, source);
  }
}

function chatTemplate(
  templates: ReadonlyMap<string, string>,
  variables: Readonly<Record<string, unknown>>,
  folder: string,
): ChatTemplate {
  const parsed = new Map<string, Template>();
  const parse = (name: string): Template => {
    const source = templates.get(name);
    if (source === undefined) {
      throw new KelpieError(
        `expected a chat template named \`${name}\`, but there are ${[...templates.keys()].map((n) => `\`${n}\``).join(', ')}; nearest: \`${nearestNames(name, templates.keys())[0]}\``,
        { code: 'chat-template', where: { folder, template: name } },
      );
    }
    const known = parsed.get(name);
    if (known !== undefined) return known;
    const template = guarded(() => strictTemplate(source), 'the chat template does not parse', folder, name);
    parsed.set(name, template);
    return template;
  };
  return {
    source: templates.get('default') ?? [...templates.values()][0]!,
    names: [...templates.keys()],
    render(messages, { addGenerationPrompt = false, tools, documents, template, variables: own = {} } = {}) {
      const fallback = tools !== undefined && templates.has('tool_use') ? 'tool_use' : 'default';
      const name = template ?? (templates.size === 1 ? [...templates.keys()][0]! : fallback);
      const parsedTemplate = parse(name);
      const context = {
        messages,
        add_generation_prompt: addGenerationPrompt,
        ...(tools === undefined ? {} : { tools }),
        ...(documents === undefined ? {} : { documents }),
        ...variables,
        ...own,
      };
      return guarded(() => parsedTemplate.render(context), 'the chat template refuses these messages', folder, name);
    },
  };
}

function guarded<Result>(action: () => Result, what: string, folder: string, template: string): Result {
  try {
    return action();
  } catch (error) {
    throw new KelpieError(`${what}: ${messageOf(error)}`, {
      code: 'chat-template',
      where: { folder, template },
      cause: error,
    });
  }
}
