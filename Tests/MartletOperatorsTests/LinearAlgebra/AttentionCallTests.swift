import Glibc
import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

/// Attention's steps (product, softcap, mask, softmax) by each way through the code: the fused kernels,
/// few queries in place, the plain way of float64 and of scores as an output.
@Suite struct AttentionCallTests {
  /// What each query sees and how scores are capped.
  private struct Steps {
    var softcap = 0.0
    /// Added to the score of (batch, query, key); -Inf hides the key.
    var mask: (Int, Int, Int) -> Double = { _, _, _ in 0 }
  }

  /// The stages of [B, Hq, L, T] and the result [B, Hq, L, Ev] by definition.
  private func oracle(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, _ steps: Steps
  ) -> (stages: [[Double]], result: [Double]) {
    let (heads, length, width) = (q.shape[1], q.shape[2], q.shape[3])
    let (keyHeads, total, valueWidth) = (k.shape[1], k.shape[2], v.shape[3])
    let (qs, ks, vs) = (q.values, k.values, v.values)
    var stages = [[Double]](repeating: [], count: 4)
    var result: [Double] = []
    for row in 0..<q.shape[0] * heads * length {
      let (batch, head, i) = (row / (heads * length), row / length % heads, row % length)
      let keyHead = batch * keyHeads + head / (heads / keyHeads)
      var scores: [Double] = []
      for j in 0..<total {
        var sum = 0.0
        for e in 0..<width { sum += qs[row * width + e] * ks[(keyHead * total + j) * width + e] }
        let product = sum / Double(width).squareRoot()
        let cap = steps.softcap
        let capped = cap > 0 ? cap * tanh(product / cap) : product
        scores.append(capped + steps.mask(batch, i, j))
        stages[0].append(product)
        stages[1].append(capped)
      }
      let top = scores.max() ?? 0
      let weights = scores.map { top == -.infinity ? 0 : exp($0 - top) }
      let divisor = max(weights.reduce(0, +), 1e-300)
      stages[2] += scores
      stages[3] += weights.map { $0 / divisor }
      for e in 0..<valueWidth {
        var value = 0.0
        for j in 0..<total { value += weights[j] * vs[(keyHead * total + j) * valueWidth + e] }
        result.append(value / divisor)
      }
    }
    return (stages, result)
  }

  private func wave(_ shape: [Int], _ step: Int, _ dtype: DType) throws -> Tensor {
    let values = (0..<shape.reduce(1, *)).map { Double($0 * step % 97) / 24.25 - 2 }
    return try tensor(values, shape, dtype)
  }

  private static let dtypes: [DType] = [.float32, .float64, .float16, .bfloat16]

  private func bound(_ dtype: DType) -> Double {
    switch dtype {
    case .float64: 1e-6  // softcap and scale are float32
    case .float32: 1e-5
    case .float16: 4e-3
    default: 4e-2
    }
  }

  /// Compares result and every stage with the definition, for few and many queries and keys.
  private func check(
    _ dtype: DType, _ attributes: [String: AttributeValue], lengths: [Int]? = nil, past: Int = 0,
    mask: (([Int]) throws -> Tensor)? = nil, _ steps: (_ queries: Int, _ keys: Int) -> Steps
  ) throws {
    for (queries, keys, heads) in [(1, 9, 2), (3, 9, 4), (13, 70, 4), (3, 300, 2), (50, 270, 2)] {
      if keys > 100, dtype != .float32 { continue }
      let q = try wave([2, heads, queries, 8], 29, dtype)
      let k = try wave([2, 2, keys, 8], 37, dtype)
      let v = try wave([2, 2, keys, 4], 41, dtype)
      let steps = steps(queries, keys)
      let expected = oracle(q, k, v, steps)
      func piece(_ whole: Tensor, _ start: Int, _ count: Int) -> Tensor {
        whole.sliced(axis: 2, start: start, count: count, step: 1)
      }
      var inputs: [Tensor?] = [
        q, piece(k, past, keys - past), piece(v, past, keys - past), try mask?([queries, keys]),
      ]
      if past > 0 { inputs += [piece(k, 0, past), piece(v, 0, past)] }
      if let lengths { inputs += [nil, nil, try ints(lengths)] }
      let result = try run("Attention", inputs, attributes)[0].values
      let what = Comment("\(dtype), \(queries) queries, \(keys) keys, \(heads) heads")
      #expect(agree(result, expected.result, bound(dtype)), what)
      for mode in 0..<4 {
        let own = attributes.merging(["qk_matmul_output_mode": .int(mode)]) { $1 }
        let all = try run("Attention", inputs, own, outputs: 4)
        #expect(agree(all[0].values, expected.result, bound(dtype)), what)
        #expect(agree(all[3].values, expected.stages[mode], bound(dtype)), "\(what), mode \(mode)")
      }
    }
  }

  @Test("softcap comes before the mask", arguments: dtypes)
  func softcap(dtype: DType) throws {
    let attributes: [String: AttributeValue] = ["softcap": .float(2)]
    try check(dtype, attributes) { _, _ in Steps(softcap: 2) }
    // A large finite number in the mask hides nearly all: softcap does not make it -2.
    try check(
      dtype, attributes,
      mask: { shape in
        try tensor((0..<shape[0] * shape[1]).map { $0 % 3 == 1 ? -1e4 : 0.5 }, shape, dtype)
      },
      { _, keys in
        let low = dtype == .bfloat16 ? -9984.0 : -1e4
        return Steps(softcap: 2) { _, i, j in (i * keys + j) % 3 == 1 ? low : 0.5 }
      })
    try check(
      dtype, attributes,
      mask: { shape in
        try tensor((0..<shape[0] * shape[1]).map { $0 % 3 == 1 ? 0 : 1 }, shape, .bool)
      },
      { _, keys in Steps(softcap: 2) { _, i, j in (i * keys + j) % 3 == 1 ? -.infinity : 0 } })
  }

  @Test("with key lengths, causal queries are the last of the keys that count", arguments: dtypes)
  func causalWithLengths(dtype: DType) throws {
    let lengths = [5, 9]
    for softcap: Float in [0, 3] {
      try check(
        dtype, ["is_causal": .int(1), "softcap": .float(softcap)], lengths: lengths
      ) { queries, _ in
        Steps(softcap: Double(softcap)) { batch, i, j in
          j < lengths[batch] && j <= i + lengths[batch] - queries ? 0 : -.infinity
        }
      }
    }
    // One query sees as many keys as there are; one that stands before them all sees none.
    let q = try tensor([0, 0, 0, 0], [1, 1, 2, 2])
    let k = try tensor([Double](repeating: 0, count: 8), [1, 1, 4, 2])
    let v = try tensor([1, 2, 3, 4], [1, 1, 4, 1])
    for (length, expected) in [(3, [1.5, 2]), (1, [0, 1]), (0, [0, 0]), (4, [2, 2.5])] {
      let inputs = [q, k, v, nil, nil, nil, try ints([length])]
      #expect(try run("Attention", inputs, ["is_causal": .int(1)])[0].values == expected)
    }
  }

  @Test(
    "windows go by a query's position, with the past and with key lengths",
    arguments: dtypes, [(1, 0), (0, 2), (4, -1), (-1, 1), (300, 0), (Int.max, Int.max)])
  func windows(dtype: DType, size: (left: Int, right: Int)) throws {
    func hides(_ position: Int, _ key: Int, causal: Bool) -> Bool {
      let (left, right) = (position.subtractingReportingOverflow(key).partialValue, key - position)
      return size.left >= 0 && left > size.left || size.right >= 0 && right > size.right
        || causal && right > 0
    }
    for causal in [false, true] {
      let attributes: [String: AttributeValue] = [
        "left_window_size": .int(size.left), "right_window_size": .int(size.right),
        "is_causal": .int(causal ? 1 : 0), "softcap": .float(causal ? 2 : 0),
      ]
      let cap = causal ? 2.0 : 0
      try check(dtype, attributes) { _, _ in
        Steps(softcap: cap) { _, i, j in hides(i, j, causal: causal) ? -.infinity : 0 }
      }
      try check(dtype, attributes, past: 4) { _, _ in
        Steps(softcap: cap) { _, i, j in hides(i + 4, j, causal: causal) ? -.infinity : 0 }
      }
      let lengths = [6, 9]
      try check(
        dtype, attributes, lengths: lengths,
        mask: { shape in
          try tensor((0..<shape[0] * shape[1]).map { $0 % 5 == 1 ? 0 : 1 }, shape, .bool)
        },
        { queries, keys in
          Steps(softcap: cap) { batch, i, j in
            let isHidden = hides(i + lengths[batch] - queries, j, causal: causal)
            return isHidden || j >= lengths[batch] || (i * keys + j) % 5 == 1 ? -.infinity : 0
          }
        })
    }
  }

  @Test("a token decoded within a window has the bits of the whole prompt")
  func decodingInWindow() throws {
    let q = try wave([1, 2, 300, 8], 29, .float32)
    let k = try wave([1, 2, 300, 8], 37, .float32)
    let v = try wave([1, 2, 300, 8], 41, .float32)
    let window: [String: AttributeValue] = ["left_window_size": .int(20), "is_causal": .int(1)]
    let whole = try run("Attention", [q, k, v], window)[0]
    func part(_ tensor: Tensor, _ start: Int, _ count: Int) -> Tensor {
      tensor.sliced(axis: 2, start: start, count: count, step: 1)
    }
    for token in [1, 19, 20, 21, 100, 255, 256, 270, 299] {
      let result = try run(
        "Attention",
        [
          part(q, token, 1), part(k, token, 1), part(v, token, 1), nil, part(k, 0, token),
          part(v, 0, token),
        ], window)[0]
      #expect(result.values == part(whole, token, 1).values)
    }
    // Keys in blocks of 256 before the window are not read.
    k.typed(Float.self)[3] = .nan
    v.typed(Float.self)[3] = .nan
    let after = try run("Attention", [q, k, v], window)[0]
    #expect(part(after, 276, 24).values == part(whole, 276, 24).values)
  }

  @Test("refuses windows below -1", arguments: ["left_window_size", "right_window_size"])
  func windowErrors(name: String) throws {
    let q = try wave([1, 1, 2, 4], 29, .float32)
    let error = #expect(throws: MartletError.self) {
      try run("Attention", [q, q, q], [name: .int(-2)])
    }
    #expect(error?.code == .invalidArgument && error?.input == name)
  }
}
