import Glibc
import MartletCore
import Testing

@testable import MartletOperators

/// GroupQueryAttention against its definition in plain loops.
@Suite struct GroupQueryAttentionTests {
  private let heads = 4
  private let keyHeads = 2
  private let width = 3

  private struct Case {
    var batch = 1
    var new = 3
    var buffer = 0
    /// Per row, keys afterwards.
    var valid = [3]
    var window: Int?
    var softcap = 0.0
    var sink: Double?
  }

  private func value(_ index: Int, _ salt: Int) -> Double {
    Double((index * 7 + salt) % 13) / 8 - 0.7
  }

  private func inputs(_ test: Case) throws -> [Tensor?] {
    func made(_ shape: [Int], _ salt: Int) throws -> Tensor {
      try tensor((0..<shape.reduce(1, *)).map { value($0, salt) }, shape)
    }
    let past = [test.batch, keyHeads, test.buffer, width]
    return [
      try made([test.batch, test.new, heads * width], 1),
      try made([test.batch, test.new, keyHeads * width], 2),
      try made([test.batch, test.new, keyHeads * width], 3),
      test.buffer > 0 ? try made(past, 4) : nil, test.buffer > 0 ? try made(past, 5) : nil,
      try tensor(test.valid.map { Double($0 - 1) }, [test.batch], .int32),
      try tensor([Double(test.valid.max() ?? 0)], [], .int32),
    ]
  }

  private func attributes(_ test: Case) -> [String: AttributeValue] {
    var attributes: [String: AttributeValue] = [
      "num_heads": .int(heads), "kv_num_heads": .int(keyHeads),
      "softcap": .float(Float(test.softcap)),
    ]
    if let window = test.window { attributes["local_window_size"] = .int(window) }
    return attributes
  }

  /// The output of one row, head and query.
  private func expected(
    _ values: [[Double]], _ test: Case, _ row: Int, _ head: Int, _ query: Int
  ) -> [Double] {
    let isPrompt = test.new == test.valid.max()
    let past = isPrompt ? 0 : test.valid[row] - test.new
    let group = head / (heads / keyHeads)
    func element(_ index: Int, _ place: Int, _ e: Int) -> Double {
      let (buffer, new) = (values[index + 2], values[index])
      if place < past {
        return buffer[((row * keyHeads + group) * test.buffer + place) * width + e]
      }
      return new[((row * test.new + place - past) * keyHeads + group) * width + e]
    }
    let q = values[0]
    var (weights, total): ([Double], Double) = ([], 0)
    let last = min(past + query, test.valid[row] - 1)
    let first = max(test.window.map { past + query - $0 + 1 } ?? 0, 0)
    for key in first...last {
      var score = 0.0
      for e in 0..<width {
        score += q[((row * test.new + query) * heads + head) * width + e] * element(1, key, e)
      }
      score /= Double(width).squareRoot()
      if test.softcap > 0 { score = test.softcap * tanh(score / test.softcap) }
      weights.append(exp(score))
      total += exp(score)
    }
    if let sink = test.sink { total += exp(sink) }
    return (0..<width).map { e in
      zip(first...last, weights).reduce(0) { $0 + $1.1 / total * element(2, $1.0, e) }
    }
  }

  private func check(_ test: Case, _ inputs: [Tensor?], _ more: [String: AttributeValue] = [:])
    throws
  {
    let results = try run(
      "com.microsoft.GroupQueryAttention", inputs,
      attributes(test).merging(more) { $1 }, outputs: 3)
    let y = results[0].values
    let values = inputs.prefix(5).map { $0?.values ?? [] }
    for row in 0..<test.batch {
      for query in 0..<test.new where query < test.valid[row] {
        for head in 0..<heads {
          let start = ((row * test.new + query) * heads + head) * width
          let want = expected(values, test, row, head, query)
          for e in 0..<width { #expect(abs(y[start + e] - want[e]) < 1e-5) }
        }
      }
    }
  }

  @Test("prompts, decoding, buffers with room, windows and caps")
  func definition() throws {
    for test in [
      Case(), Case(new: 1, buffer: 4, valid: [5]), Case(new: 2, buffer: 4, valid: [6]),
      Case(batch: 2, new: 1, buffer: 6, valid: [3, 6]), Case(buffer: 5),
      Case(window: 2), Case(new: 1, buffer: 6, valid: [5], window: 3),
      Case(softcap: 0.5), Case(batch: 2, valid: [2, 3]),
    ] {
      try check(test, try inputs(test))
    }
  }

  @Test("a sink, or smooth_softmax, is one more term of the denominator")
  func sinks() throws {
    for window in [nil, 2] {
      var test = Case(new: 1, buffer: 4, valid: [5], window: window, sink: 0)
      try check(test, try inputs(test), ["smooth_softmax": .int(1)])
      test.sink = 0.75
      let sinks = try tensor([0.75, 0.75, 0.75, 0.75])
      try check(test, try inputs(test) + [nil, nil, nil, nil, sinks])
    }
  }

  @Test("the present is the past with the new keys behind it, zeros beyond")
  func present() throws {
    let test = Case(batch: 2, new: 1, buffer: 4, valid: [2, 4])
    let inputs = try inputs(test)
    let keys = try run(
      "com.microsoft.GroupQueryAttention", inputs, attributes(test), outputs: 3)[1]
    #expect(keys.shape == [2, keyHeads, 4, width])
    let (past, new) = (inputs[3]?.values ?? [], inputs[1]?.values ?? [])
    for row in 0..<2 {
      for head in 0..<keyHeads {
        for place in 0..<4 {
          let start = ((row * keyHeads + head) * 4 + place) * width
          let got = Array(keys.values[start..<start + width])
          let count = test.valid[row] - 1
          let want =
            place < count
            ? Array(past[start..<start + width])
            : place == count
              ? Array(new[(row * keyHeads + head) * width..<(row * keyHeads + head + 1) * width])
              : [0, 0, 0]
          #expect(got == want)
        }
      }
    }
  }

  @Test("a row does not depend on the batch, to the bit") func batch() throws {
    let test = Case(batch: 2, new: 1, buffer: 6, valid: [3, 6])
    let inputs = try inputs(test)
    let whole = try run("com.microsoft.GroupQueryAttention", inputs, attributes(test))[0]
    for row in 0..<2 {
      var one = inputs
      for index in 0..<5 {
        one[index] = inputs[index]?.sliced(axis: 0, start: row, count: 1, step: 1)
      }
      one[5] = try tensor([Double(test.valid[row] - 1)], [1], .int32)
      one[6] = try tensor([Double(test.valid[row])], [], .int32)
      let y = try run("com.microsoft.GroupQueryAttention", one, attributes(test))[0]
      #expect(y.values == Array(whole.values[row * heads * width..<(row + 1) * heads * width]))
    }
  }

  @Test("what does not fit is said") func faults() throws {
    let test = Case(new: 1, buffer: 4, valid: [5])
    func fault(_ change: (inout [Tensor?]) throws -> Void) throws -> MartletError? {
      var inputs = try inputs(test)
      try change(&inputs)
      return martletError {
        _ = try run("com.microsoft.GroupQueryAttention", inputs, attributes(test))
      }
    }
    #expect(try fault { $0[5] = try tensor([-1], [1], .int32) }?.input == "seqlens_k")
    #expect(try fault { $0[5] = try tensor([9], [1], .int32) }?.input == "seqlens_k")
    #expect(try fault { $0[6] = try tensor([0], [], .int32) }?.input == "total_sequence_length")
    #expect(try fault { $0[4] = try tensor([0], [1, 1, 1, 1]) }?.input == "past_value")
    #expect(try fault { $0[1] = try tensor([0], [1, 1, 1]) }?.input == "key")
    let quantised = martletError {
      _ = try run(
        "com.microsoft.GroupQueryAttention", try inputs(test),
        attributes(test).merging(["v_quant_type": .string("PER_TENSOR")]) { $1 })
    }
    #expect(quantised?.code == .unsupported && quantised?.input == "v_quant_type")
  }
}
