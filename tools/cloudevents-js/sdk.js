// Reads and writes HTTP messages with the CloudEvents SDK for JavaScript: one JSON order a line in, one JSON answer a line out.
//
//   {"read": {"headers": {...}, "body": BASE64}}                        -> {"attributes": {...}, "data": BASE64 or null}
//   {"write": {"mode": "binary", "attributes": {...}, "data": BASE64}}  -> {"headers": {...}, "body": BASE64}
//
// Data is given to the SDK as its Content-Type says: JSON as a value, text as a string, all else as bytes. What the SDK
// throws is answered as {"error": TEXT}.
import readline from "node:readline";
import { CloudEvent, HTTP } from "cloudevents";

const isText = (type) => /json|text/.test(type ?? "");

function octets(value, type) {
  if (value === undefined || value === null) return value === null && isText(type) ? Buffer.from("null") : null;
  if (ArrayBuffer.isView(value)) return Buffer.from(value);
  const isJson = (type ?? "json").includes("json");
  return Buffer.from(typeof value === "string" && !isJson ? value : JSON.stringify(value));
}

function read({ headers, body }) {
  const bytes = Buffer.from(body, "base64");
  const event = HTTP.toEvent({ headers, body: isText(headers["content-type"]) ? bytes.toString() : bytes });
  const { data, data_base64: encoded, ...attributes } = Array.isArray(event) ? event[0].toJSON() : event.toJSON();
  const found = encoded ? Buffer.from(encoded, "base64") : octets(data, attributes.datacontenttype);
  return { attributes, data: found && found.length ? found.toString("base64") : null };
}

function write({ mode, attributes, data }) {
  const type = attributes.datacontenttype;
  const bytes = data === null ? undefined : Buffer.from(data, "base64");
  const value = bytes && type?.includes("json") ? JSON.parse(bytes) : bytes && isText(type) ? bytes.toString() : bytes;
  const { headers, body } = HTTP[mode](new CloudEvent({ ...attributes, data: value }));
  return { headers, body: Buffer.from(body ?? "").toString("base64") };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  let answer;
  try {
    answer = order.read ? read(order.read) : write(order.write);
  } catch (error) {
    answer = { error: `${error.constructor.name}: ${error.message}` };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
