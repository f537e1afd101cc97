import { createRequire } from 'node:module'

const require = createRequire(process.cwd() + '/package.json')
const { Ollama } = require('ollama')
const [URL, EMBED, CHAT] = process.argv.slice(2)
const client = new Ollama({ host: URL })
const messages = [{ role: 'user', content: 'Say hello.' }]
const options = { temperature: 0, seed: 1, num_predict: 8 }
const schema = { type: 'object', properties: { blue: { type: 'boolean' } }, required: ['blue'] }
const tool = { type: 'function', function: { name: 'now', description: 'The time.', parameters: { type: 'object', properties: {} } } }

async function refusal(work) {
  try {
    await work()
  } catch (error) {
    return [error.name, error.message]
  }
  return null
}

async function all(stream) {
  const parts = []
  for await (const part of await stream) parts.push(part)
  return parts
}

const endpoints = {
  embed: async () => {
    const reply = await client.embed({ model: EMBED, input: ['a', 'b'], dimensions: 16 })
    const old = await client.embeddings({ model: EMBED, prompt: 'a' })
    return [reply.embeddings.map((row) => row.length), reply.prompt_eval_count, old.embedding.length]
  },
  chat: async () => {
    const reply = await client.chat({ model: CHAT, messages, options })
    return [reply.message.role, reply.message.content, reply.done_reason, reply.eval_count]
  },
  generate: async () => {
    const reply = await client.generate({ model: CHAT, prompt: 'Say hello.', options })
    return [reply.response, reply.done_reason, reply.eval_count]
  },
  stream: async () => {
    const chats = await all(client.chat({ model: CHAT, messages, options, stream: true }))
    const texts = await all(client.generate({ model: CHAT, prompt: 'Say hello.', options, stream: true }))
    const whole = [chats.map((part) => part.message.content).join(''), texts.map((part) => part.response).join('')]
    return [...whole, chats.length > 1, chats.at(-1).done, texts.at(-1).eval_count]
  },
  format: async () => (await client.chat({ model: CHAT, messages, format: schema, options: { ...options, num_predict: 40 } })).message.content,
  tools: () => refusal(() => client.chat({ model: CHAT, messages, tools: [tool] })),
  list: async () => (await client.list()).models.map((model) => model.name).sort(),
  show: async () => {
    const shown = await client.show({ model: EMBED })
    return [shown.capabilities, shown.model_info['bert.context_length']]
  },
  ps: async () => (await client.ps()).models.map((model) => model.name).sort(),
  create: async () => {
    const states = await all(client.create({ model: 'made', from: CHAT, system: 'Be brief.', stream: true }))
    return [states.at(-1).status, (await client.show({ model: 'made' })).modelfile.split('SYSTEM Be brief.').length - 1]
  },
  copy: async () => (await client.copy({ source: 'made', destination: 'copied' })).status,
  delete: async () => [(await client.delete({ model: 'copied' })).status, await refusal(() => client.delete({ model: 'copied' }))],
  pull: async () => (await all(client.pull({ model: EMBED, stream: true }))).at(-1).status,
  errors: () => refusal(() => client.chat({ model: 'nope', messages })),
}

for (const [endpoint, work] of Object.entries(endpoints)) {
  let value
  try {
    value = await work()
  } catch (error) {
    value = { failed: String(error.stack) }
  }
  console.log('{"endpoint": ' + JSON.stringify(endpoint) + ', "value": ' + JSON.stringify(value) + '}')
}
