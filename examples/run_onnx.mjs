// Fuses PNGs in grey with a fusion exported to ONNX: node run_onnx.mjs fuse.onnx SOURCE SOURCE ... OUT.png
// (npm install onnxruntime-web pngjs; in a browser the same lines run on the pixels of a canvas)
import { readFileSync, writeFileSync } from "node:fs";
import * as ort from "onnxruntime-web";
import { PNG } from "pngjs";

const [program, ...paths] = process.argv.slice(2), output = paths.pop();
const session = await ort.InferenceSession.create(readFileSync(program));
const images = paths.map((path) => PNG.sync.read(readFileSync(path)));
const { width, height } = images[0], count = width * height;
const pixels = new Float32Array(images.length * count);
const luma = (data, i) => Math.round(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]) / 255;
images.forEach(({ data }, m) => pixels.set(Float32Array.from({ length: count }, (_, i) => luma(data, 4 * i)), m * count));
const sources = new ort.Tensor("float32", pixels, [images.length, height, width, 1]);
const { image } = await session.run({ sources }), fused = new PNG({ width, height });
image.data.forEach((v, i) => fused.data.set([v, v, v, 1].map((x) => Math.round(255 * x)), 4 * i));
writeFileSync(output, PNG.sync.write(fused));
