import Glibc
import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct AttentionTests {
  /// Attention by its definition, [B, H, L, E] with as many key heads as query heads.
  private func oracle(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, causal: Bool = false, past: Int = 0,
    mask: (Int, Int) -> Double = { _, _ in 0 }
  ) -> [Double] {
    let (length, width) = (q.shape[2], q.shape[3])
    let (total, valueWidth) = (k.shape[2], v.shape[3])
    let (qs, ks, vs) = (q.values, k.values, v.values)
    let group = q.shape[1] / k.shape[1]
    var result: [Double] = []
    for head in 0..<q.shape[0] * q.shape[1] {
      let keyHead = head / q.shape[1] * k.shape[1] + head % q.shape[1] / group
      for i in 0..<length {
        var weights: [Double] = []
        for j in 0..<total {
          var score = 0.0
          for e in 0..<width {
            score += qs[(head * length + i) * width + e] * ks[(keyHead * total + j) * width + e]
          }
          let isHidden = causal && j > past + i
          weights.append(
            isHidden ? 0 : exp(score / Double(width).squareRoot() + mask(i, j)))
        }
        let sum = weights.reduce(0, +)
        for e in 0..<valueWidth {
          var value = 0.0
          for j in 0..<total {
            value += weights[j] / sum * vs[(keyHead * total + j) * valueWidth + e]
          }
          result.append(value)
        }
      }
    }
    return result
  }

  private func wave(_ shape: [Int], _ step: Int, _ dtype: DType = .float32) throws -> Tensor {
    let count = shape.reduce(1, *)
    let values = (0..<count).map { (index: Int) -> Double in Double(index * step % 97) / 48.5 - 1 }
    return try tensor(values, shape, dtype)
  }

  private func distance(_ a: [Double], _ b: [Double]) -> Double {
    a.count == b.count ? zip(a, b).map { abs($0 - $1) }.max() ?? 0 : .infinity
  }

  @Test("agrees with its definition", arguments: [DType.float32, .float64, .float16])
  func definition(dtype: DType) throws {
    for (keyHeads, causal) in [(4, false), (4, true), (2, false), (1, true)] {
      let q = try wave([2, 4, 5, 8], 29, dtype)
      let k = try wave([2, keyHeads, 7, 8], 37, dtype)
      let v = try wave([2, keyHeads, 7, 3], 41, dtype)
      let result = try run("Attention", [q, k, v], ["is_causal": .int(causal ? 1 : 0)])[0]
      #expect(result.shape == [2, 4, 5, 3])
      let bound = dtype == .float64 ? 1e-12 : dtype == .float32 ? 1e-5 : 2e-3
      #expect(distance(result.values, oracle(q, k, v, causal: causal)) < bound)
    }
  }

  @Test("takes bool and float masks that broadcast") func masks() throws {
    let q = try wave([1, 2, 3, 4], 29)
    let k = try wave([1, 2, 5, 4], 37)
    let v = try wave([1, 2, 5, 4], 41)
    let numbers = try wave([3, 5], 13)
    let added = try run("Attention", [q, k, v, numbers])[0]
    let values = numbers.values
    #expect(distance(added.values, oracle(q, k, v) { values[$0 * 5 + $1] }) < 1e-5)
    let flags = try tensor([1, 0, 1, 1, 0], [1, 1, 1, 5], .bool)
    let chosen = try run("Attention", [q, k, v, flags])[0]
    let expected = oracle(q, k, v) { $1 == 1 || $1 == 4 ? -.infinity : 0 }
    #expect(distance(chosen.values, expected) < 1e-5)
    // A mask that is shorter than the keys hides the rest, and softcap does not uncover it.
    let short = try tensor([1, 1, 1], [3], .bool)
    for softcap: Float in [0, 1e6] {
      let hidden = try run("Attention", [q, k, v, short], ["softcap": .float(softcap)])[0]
      #expect(distance(hidden.values, oracle(q, k, v) { $1 > 2 ? -.infinity : 0 }) < 1e-3)
    }
  }

  @Test(
    "a query that sees no key gives NaN, or zero where that is asked for",
    arguments: [
      DType.float32, .float64,
    ])
  func blindQueries(dtype: DType) throws {
    let q = try wave([1, 1, 3, 4], 29, dtype)
    let k = try wave([1, 1, 300, 4], 37, dtype)
    let flags = try tensor((0..<900).map { $0 / 300 == 1 ? 0 : 1 }, [3, 300], .bool)
    let plain = try run("Attention", [q, k, k, flags])[0].values
    let safe = try run("Attention", [q, k, k, flags], ["nan_to_zero": .int(1)])[0].values
    #expect(plain[4..<8].allSatisfy(\.isNaN) && safe[4..<8].allSatisfy { $0 == 0 })
    #expect(plain[0..<4] == safe[0..<4] && plain[8..<12] == safe[8..<12])
  }

  @Test("heads inside the last axis give the same values") func packedHeads() throws {
    let q = try wave([2, 4, 5, 8], 29)
    let k = try wave([2, 2, 7, 8], 37)
    let v = try wave([2, 2, 7, 8], 41)
    func inside(_ tensor: Tensor) throws -> Tensor {
      let turned = try tensor.permuted([0, 2, 1, 3])
      let copy = try makeContext().contiguous(turned)
      return try copy.reshaped([copy.shape[0], copy.shape[1], copy.shape[2] * copy.shape[3]])
    }
    let separate = try run("Attention", [q, k, v])[0]
    let joined = try run(
      "Attention", [inside(q), inside(k), inside(v)],
      ["q_num_heads": .int(4), "kv_num_heads": .int(2)])[0]
    #expect(joined.shape == [2, 5, 32])
    #expect(joined.values == (try inside(separate)).values)
  }

  @Test("a token decoded with the past has the bits of the whole prompt") func decoding() throws {
    let q = try wave([1, 2, 9, 16], 29)
    let k = try wave([1, 2, 9, 16], 37)
    let v = try wave([1, 2, 9, 16], 41)
    let causal: [String: AttributeValue] = ["is_causal": .int(1)]
    let whole = try run("Attention", [q, k, v], causal)[0]
    func part(_ tensor: Tensor, _ start: Int, _ count: Int) -> Tensor {
      tensor.sliced(axis: 2, start: start, count: count, step: 1)
    }
    for token in 1..<9 {
      let result = try run(
        "Attention",
        [
          part(q, token, 1), part(k, token, 1), part(v, token, 1), nil, part(k, 0, token),
          part(v, 0, token),
        ], causal, outputs: 3)
      #expect(result[0].values == part(whole, token, 1).values)
      #expect(result[1].values == part(k, 0, token + 1).values)
    }
  }

  @Test("refuses operands that do not fit") func errors() throws {
    let q = try wave([1, 2, 3, 4], 29)
    for (k, v) in [
      ([1, 2, 5, 3], [1, 2, 5, 4]), ([1, 3, 5, 4], [1, 3, 5, 4]), ([1, 2, 5, 4], [1, 2, 4, 4]),
    ] {
      let error = #expect(throws: MartletError.self) {
        try run("Attention", [q, wave(k, 3), wave(v, 3)])
      }
      #expect(error?.code == .invalidShape)
    }
    #expect(throws: MartletError.self) {
      try run("Attention", [q, q, q, try wave([7], 3)])
    }
  }
}
