// tests/e2e/structured_schemas.mjs - schemas of every kind that clients send, small enough that an answer ends.
const closed = (properties, required = Object.keys(properties)) => ({
  type: "object", properties, required, additionalProperties: false,
});
const word = { type: "string", maxLength: 12 };

export const schemas = [
  closed({ city: word, temperature: { type: "integer" }, is_raining: { type: "boolean" } }),
  closed({ unit: { enum: ["celsius", "fahrenheit"] }, value: { type: "number", minimum: -40, maximum: 60 } }),
  closed({ a: word, b: word, c: word }, ["b"]),
  closed({ nested: closed({ deep: closed({ deeper: { const: "here" } }) }) }),
  closed({ tags: { type: "array", items: word, minItems: 1, maxItems: 3 } }),
  closed({ pair: { type: "array", prefixItems: [{ type: "integer" }, { type: "boolean" }], items: false, minItems: 2 } }),
  closed({ either: { anyOf: [{ type: "null" }, { type: "integer", minimum: 0, maximum: 9 }] } }),
  closed({ one: { oneOf: [{ type: "boolean" }, { type: "integer" }] } }),
  closed({ all: { allOf: [{ type: "integer" }, { minimum: 10 }, { maximum: 99 }] } }),
  closed({ code: { type: "string", pattern: "^[A-Z]{2}[0-9]{4}$" } }),
  closed({ day: { type: "string", format: "date" }, at: { type: "string", format: "date-time" } }),
  closed({ id: { type: "string", format: "uuid" } }),
  closed({ host: { type: "string", format: "ipv4" } }),
  closed({ short: { type: "string", minLength: 2, maxLength: 4 } }),
  closed({ even: { type: "integer", multipleOf: 2, minimum: 0, maximum: 100 } }),
  closed({ ratio: { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 } }),
  closed({ mixed: { type: ["string", "null"], maxLength: 5 } }),
  { type: "object", patternProperties: { "^x_[a-z]$": { type: "integer" } }, additionalProperties: false, minProperties: 1, maxProperties: 2 },
  { type: "object", additionalProperties: { type: "boolean" }, propertyNames: { pattern: "^[a-c]{1,3}$" }, maxProperties: 2 },
  { type: "object", patternProperties: { "[A-Za-z0-9-_.:]{1,255}": { type: "string", format: "uri" } } },
  {
    $defs: { tree: closed({ value: { type: "integer", minimum: 0, maximum: 9 }, children: { type: "array", items: { $ref: "#/$defs/tree" }, maxItems: 1 } }) },
    $ref: "#/$defs/tree",
  },
  { type: "array", items: { enum: ["a", "b", 1, null, true] }, minItems: 2, maxItems: 4 },
  { const: { fixed: ["text", 1.5, { x: null }] } },
  { type: "integer" },
  { type: "string", maxLength: 20 },
  { enum: ["only"] },
];
