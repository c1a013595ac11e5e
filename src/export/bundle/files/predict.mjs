// Predicts the rows of golden.json: npm install onnxruntime-node && node predict.mjs
// In a browser: import onnxruntime-web instead, and fetch the two files.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-node";

const file = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const golden = JSON.parse(await readFile(file("golden.json"), "utf8"));
const arrays = { float64: Float64Array, float32: Float32Array, uint8: Uint8Array };
const feeds = {};
for (const { name, type, shape, data } of golden.inputs) {
  const values = type === "string" ? data : arrays[type].from(data, (v) => v ?? NaN);
  feeds[name] = new ort.Tensor(type, values, shape);
}
const session = await ort.InferenceSession.create(file(process.argv[2] ?? "model.onnx"));
const outputs = await session.run(feeds);
for (const answer of outputs[golden.answer].data) console.log(String(answer));
