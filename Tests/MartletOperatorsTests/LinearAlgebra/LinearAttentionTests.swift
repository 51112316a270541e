import Glibc
import MartletCore
import Testing

@testable import MartletOperators

/// LinearAttention against its definition in plain loops; Inverse.
@Suite struct LinearAttentionTests {
  private let queryHeads = 4
  private let keyHeads = 2
  private let width = 3
  private let valueWidth = 70

  private func made(_ shape: [Int], _ salt: Int) throws -> Tensor {
    try tensor(
      (0..<shape.reduce(1, *)).map { Double(($0 * 7 + salt) % 13) / 16 - 0.35 }, shape)
  }

  private func inputs(
    _ batch: Int, _ length: Int, perHead: Bool, oneBeta: Bool
  ) throws -> [Tensor?] {
    [
      try made([batch, length, queryHeads * width], 1),
      try made([batch, length, keyHeads * width], 2),
      try made([batch, length, keyHeads * valueWidth], 3),
      try made([batch, keyHeads, width, valueWidth], 4),
      try made([batch, length, perHead ? keyHeads : keyHeads * width], 5),
      try made([batch, length, oneBeta ? 1 : keyHeads], 6),
    ]
  }

  private func attributes(_ rule: String) -> [String: AttributeValue] {
    [
      "q_num_heads": .int(queryHeads), "kv_num_heads": .int(keyHeads),
      "update_rule": .string(rule),
    ]
  }

  /// The outputs of column `column` of the state of one row and head of keys, by token and query head.
  private func expected(
    _ inputs: [Tensor?], _ values: [[Double]], _ rule: String, _ row: Int, _ head: Int,
    _ column: Int
  ) -> [[Double]] {
    let length = inputs[0]?.shape[1] ?? 0
    func element(_ index: Int, _ token: Int, _ place: Int) -> Double {
      let size = inputs[index]?.shape[2] ?? 1
      return values[index][(row * length + token) * size + place % size]
    }
    let past = values[3]
    var state = (0..<width).map {
      past.isEmpty ? 0 : past[((row * keyHeads + head) * width + $0) * valueWidth + column]
    }
    let isPerHead = inputs[4]?.shape[2] == keyHeads
    return (0..<length).map { token in
      if rule.hasPrefix("gated") {
        for i in 0..<width {
          state[i] *= exp(element(4, token, isPerHead ? head : head * width + i))
        }
      }
      let k = (0..<width).map { element(1, token, head * width + $0) }
      var update = element(2, token, head * valueWidth + column)
      if rule.hasSuffix("delta") {
        update -= zip(state, k).reduce(0) { $0 + $1.0 * $1.1 }
        update *= element(5, token, head)
      }
      for i in 0..<width { state[i] += k[i] * update }
      return (0..<queryHeads / keyHeads).map { member in
        let index = head * (queryHeads / keyHeads) + member
        let sum = (0..<width).reduce(0.0) {
          $0 + state[$1] * element(0, token, index * width + $1)
        }
        return sum / Double(width).squareRoot()
      }
    }
  }

  @Test(
    "all rules, with decays and rates of both shapes",
    arguments: ["linear", "gated", "delta", "gated_delta"])
  func definition(rule: String) throws {
    for (perHead, oneBeta) in [(false, false), (true, true)] {
      let inputs = try inputs(2, 3, perHead: perHead, oneBeta: oneBeta)
      let results = try run("LinearAttention", inputs, attributes(rule), outputs: 2)
      #expect(results[0].shape == [2, 3, queryHeads * valueWidth])
      #expect(results[1].shape == [2, keyHeads, width, valueWidth])
      let y = results[0].values
      let values = inputs.map { $0?.values ?? [] }
      for row in 0..<2 {
        for head in 0..<keyHeads {
          for column in [0, 63, 64, valueWidth - 1] {
            let want = expected(inputs, values, rule, row, head, column)
            for (token, values) in want.enumerated() {
              for (member, value) in values.enumerated() {
                let index = head * 2 + member
                let place = ((row * 3 + token) * queryHeads + index) * valueWidth + column
                #expect(abs(y[place] - value) < 1e-5)
              }
            }
          }
        }
      }
    }
  }

  @Test("token by token is the whole at once, to the bit") func decoding() throws {
    let inputs = try inputs(1, 4, perHead: false, oneBeta: false)
    let whole = try run("LinearAttention", inputs, attributes("gated_delta"), outputs: 2)
    var state = inputs[3]
    for token in 0..<4 {
      var one = inputs.map { $0?.sliced(axis: 1, start: token, count: 1, step: 1) }
      one[3] = state
      let results = try run("LinearAttention", one, attributes("gated_delta"), outputs: 2)
      let size = queryHeads * valueWidth
      #expect(results[0].values == Array(whole[0].values[token * size..<(token + 1) * size]))
      state = results[1]
    }
    #expect(state?.values == whole[1].values)
  }

  @Test("without a past the state begins with zeros; faults name their input")
  func faults() throws {
    var inputs = try inputs(1, 2, perHead: true, oneBeta: true)
    let zeros = try tensor(
      [Double](repeating: 0, count: keyHeads * width * valueWidth),
      [1, keyHeads, width, valueWidth])
    inputs[3] = zeros
    let given = try run("LinearAttention", inputs, attributes("gated_delta"))[0]
    inputs[3] = nil
    #expect(try run("LinearAttention", inputs, attributes("gated_delta"))[0].values == given.values)
    for index in [4, 5] {
      var missing = inputs
      missing[index] = nil
      let error = martletError {
        _ = try run("LinearAttention", missing, attributes("gated_delta"))
      }
      #expect(error?.input == (index == 4 ? "decay" : "beta"))
    }
    #expect(
      martletError { _ = try run("LinearAttention", inputs, attributes("gates")) }?.input
        == "update_rule")
    inputs[1] = try tensor([0, 0], [1, 2, 1])
    #expect(
      martletError { _ = try run("LinearAttention", inputs, attributes("linear")) }?.input
        == "key")
  }

  @Test("Inverse pivots, and a singular matrix is not finite") func inverse() throws {
    let x = try tensor([0, 2, 4, 0, 2, 0, 0, 4], [2, 2, 2])
    let y = try run("com.microsoft.Inverse", [x])[0]
    #expect(y.values == [0, 0.25, 0.5, 0, 0.5, 0, 0, 0.25])
    let singular = try run("com.microsoft.Inverse", [try tensor([1, 1, 1, 1], [2, 2])])[0]
    #expect(singular.values.contains { !$0.isFinite })
    #expect(
      martletError { _ = try run("com.microsoft.Inverse", [try iota([2, 3])]) }?.code
        == .invalidShape)
  }
}
