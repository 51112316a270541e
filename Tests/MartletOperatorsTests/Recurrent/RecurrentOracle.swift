import Glibc
import MartletCore

@testable import MartletOperators

/// LSTM, GRU and RNN as ONNX writes them, element by element in float64.
struct RecurrentOracle {
  let call: RecurrentCase
  private let values: [[Double]?]

  init(_ call: RecurrentCase) {
    self.call = call
    values = call.tensors.map { $0?.values }
  }

  /// Y, Y_h and Y_c in row-major order.
  func outputs() -> [[Double]] {
    let (steps, batch, width, count) = (
      call.steps, call.batch, call.hidden, call.directions.count
    )
    var y = [Double](repeating: 0, count: steps * count * batch * width)
    var states = [[Double]](
      repeating: [Double](repeating: 0, count: count * batch * width), count: 2)
    for direction in 0..<count {
      for row in 0..<batch {
        let length = call.lengths?[row] ?? steps
        let place =
          call.isBatchFirst
          ? (row * count + direction) * width : (direction * batch + row) * width
        func first(_ index: Int) -> [Double] {
          guard index < values.count, let all = values[index] else {
            return [Double](repeating: 0, count: width)
          }
          return Array(all[place..<place + width])
        }
        var (h, c) = (first(5), first(6))
        for step in 0..<length {
          let time = call.directions[direction] == "reverse" ? length - 1 - step : step
          self.step(&h, &c, x(time, row), direction)
          let start =
            call.isBatchFirst
            ? ((row * steps + time) * count + direction) * width
            : ((time * count + direction) * batch + row) * width
          y.replaceSubrange(start..<start + width, with: h)
        }
        guard length > 0 else { continue }
        states[0].replaceSubrange(place..<place + width, with: h)
        states[1].replaceSubrange(place..<place + width, with: c)
      }
    }
    return [y] + (call.name == "LSTM" ? states : [states[0]])
  }

  private func x(_ time: Int, _ row: Int) -> [Double] {
    let index = call.isBatchFirst ? row * call.steps + time : time * call.batch + row
    return Array((values[0] ?? [])[index * call.input..<(index + 1) * call.input])
  }

  /// sum over k of weight[direction][line][k] * vector[k].
  private func product(
    _ index: Int, _ vector: [Double], _ direction: Int, _ line: Int
  ) -> Double {
    let k = vector.count
    let start = (direction * call.gates * call.hidden + line) * k
    var sum = 0.0
    for (j, value) in vector.enumerated() { sum += (values[index]?[start + j] ?? 0) * value }
    return sum
  }

  private func bias(_ direction: Int, _ line: Int) -> Double {
    values[3]?[direction * 2 * call.gates * call.hidden + line] ?? 0
  }

  private func step(
    _ h: inout [Double], _ c: inout [Double], _ x: [Double], _ direction: Int
  ) {
    let (n, all) = (call.hidden, call.gates * call.hidden)
    func sum(_ gate: Int, _ j: Int, _ state: [Double]) -> Double {
      let line = gate * n + j
      return product(1, x, direction, line) + product(2, state, direction, line)
        + bias(direction, line) + bias(direction, all + line)
    }
    func peephole(_ gate: Int, _ j: Int) -> Double {
      values.count > 7 ? values[7]?[direction * 3 * n + gate * n + j] ?? 0 : 0
    }
    let before = h
    switch call.name {
    case "RNN":
      h = (0..<n).map { apply(0, direction, sum(0, $0, before)) }
    case "GRU":
      let z = (0..<n).map { apply(0, direction, sum(0, $0, before)) }
      let r = (0..<n).map { apply(0, direction, sum(1, $0, before)) }
      let reset = (0..<n).map { r[$0] * before[$0] }
      h = (0..<n).map { j in
        var total = sum(2, j, reset)
        if call.flag {
          let line = 2 * n + j
          total =
            product(1, x, direction, line) + bias(direction, line)
            + r[j] * (product(2, before, direction, line) + bias(direction, all + line))
        }
        return (1 - z[j]) * apply(1, direction, total) + z[j] * before[j]
      }
    default:
      for j in 0..<n {
        let old = c[j]
        let i = apply(0, direction, sum(0, j, before) + peephole(0, j) * old)
        let f =
          call.flag ? 1 - i : apply(0, direction, sum(2, j, before) + peephole(2, j) * old)
        c[j] = f * old + i * apply(1, direction, sum(3, j, before))
        let o = apply(0, direction, sum(1, j, before) + peephole(1, j) * c[j])
        h[j] = o * apply(2, direction, c[j], clips: false)
      }
    }
  }

  private func apply(
    _ function: Int, _ direction: Int, _ value: Double, clips: Bool = true
  ) -> Double {
    var x = value
    if clips, let clip = call.clip { x = min(max(x, -clip), clip) }
    let defaults = ["LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]]
    let names =
      call.activations.isEmpty
      ? Array(
        repeating: defaults[call.name] ?? ["Tanh"], count: call.directions.count
      ).flatMap { $0 } : call.activations
    let index = direction * call.functions + function
    // Parameters are dealt to the functions before this one first.
    var alphas = call.alphas.map { Double(Float($0)) }[...]
    var betas = call.betas.map { Double(Float($0)) }[...]
    for name in names[..<index] {
      if RecurrentOracle.alpha[name] != nil { _ = alphas.popFirst() }
      if RecurrentOracle.beta[name] != nil { _ = betas.popFirst() }
    }
    let name = names[index]
    let a = alphas.first ?? RecurrentOracle.alpha[name] ?? 0
    let b = betas.first ?? RecurrentOracle.beta[name] ?? 0
    switch name {
    case "Affine": return a * x + b
    case "Elu": return x < 0 ? a * expm1(x) : x
    case "HardSigmoid": return min(max(a * x + b, 0), 1)
    case "LeakyRelu": return x < 0 ? a * x : x
    case "Relu": return max(x, 0)
    case "ScaledTanh": return a * tanh(b * x)
    case "Sigmoid": return 1 / (1 + exp(-x))
    case "Softplus": return log1p(exp(x))
    case "Softsign": return x / (1 + abs(x))
    case "Tanh": return tanh(x)
    default: return x > a ? x : 0  // ThresholdedRelu
    }
  }

  /// The functions that have parameters, with their defaults as floats.
  private static let alpha = [
    "Affine": 1, "Elu": 1, "HardSigmoid": Double(Float(0.2)), "LeakyRelu": Double(Float(0.01)),
    "ScaledTanh": 1, "ThresholdedRelu": 1,
  ]
  private static let beta = ["Affine": 0, "HardSigmoid": 0.5, "ScaledTanh": 1]
}
