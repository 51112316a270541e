// Reads a digit drawn below, in BF16 where the processor has the units.
//
//   cd Examples/swift && swift run ReadDigit ../models/digits.onnx
import Martlet

let drawing = [
  "  ####  ",
  "     ## ",
  "     ## ",
  "   ###  ",
  "     ## ",
  "     ## ",
  "  #  ## ",
  "  ####  ",
]
let pixels = drawing.joined().map { $0 == "#" ? Float(1) : 0 }
let path = CommandLine.arguments.dropFirst().first ?? "../models/digits.onnx"

do {
  setFloat32FastMathMode(.bf16)  // the one line
  let model = try Model(path: path)
  let (outputs, report) = try model.runReporting(["image": Tensor(pixels, shape: [1, 1, 8, 8])])
  let scores: [Float] = try outputs["probabilities"]?.elements() ?? []
  if let best = scores.indices.max(by: { scores[$0] < scores[$1] }) {
    print("\(drawing.joined(separator: "\n"))\nlooks like a \(best) (\(Int(scores[best] * 100))%)")
  }
  for row in report { print(row.node, row.operatorName, row.precision, row.kernel, row.reason) }
} catch {
  print("failed: \(error)")
}
