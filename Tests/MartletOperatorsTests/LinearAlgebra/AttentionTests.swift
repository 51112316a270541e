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
    // A mask that is shorter than the keys hides the rest, with softcap too.
    let short = try tensor([1, 1, 1], [3], .bool)
    for softcap: Float in [0, 1e6] {
      let hidden = try run("Attention", [q, k, v, short], ["softcap": .float(softcap)])[0]
      #expect(distance(hidden.values, oracle(q, k, v) { $1 > 2 ? -.infinity : 0 }) < 1e-3)
    }
  }

  /// Three queries, of which the middle one sees no key, by each way to hide keys: how many keys there
  /// are, the mask, and whether the past is the first key.
  static let blindfolds: [(keys: Int, isBool: Bool, isCausal: Bool, hasPast: Bool)] =
    [3, 70, 300].flatMap { keys in
      [(keys, true, false, false), (keys, false, false, false), (keys, false, false, true)]
    } + [(3, true, true, false), (3, false, true, true)]

  @Test(
    "a query that sees no key gives zero, and NaN where that is asked for",
    arguments: [DType.float32, .float64, .float16, .bfloat16], blindfolds)
  func blindQueries(
    dtype: DType, way: (keys: Int, isBool: Bool, isCausal: Bool, hasPast: Bool)
  ) throws {
    for (heads, mode) in [(2, MathMode.fp32), (4, .fp32), (4, .bf16)] {
      let q = try wave([1, heads, 3, 4], 29, dtype)
      let k = try wave([1, 2, way.keys, 4], 37, dtype)
      let flags = (0..<3 * way.keys).map { index -> Double in
        index / way.keys == 1 ? 0 : index % 2 == 0 ? 1 : 0
      }
      let mask =
        way.isBool
        ? try tensor(flags, [3, way.keys], .bool)
        : try tensor(flags.map { $0 == 0 ? -.infinity : 0.5 }, [3, way.keys], dtype)
      var inputs: [Tensor?] = [q, k, k, mask]
      if way.hasPast {
        let past = k.sliced(axis: 2, start: 0, count: 1, step: 1)
        let rest = k.sliced(axis: 2, start: 1, count: way.keys - 1, step: 1)
        inputs = [q, rest, rest, mask, past, past]
      }
      let causal: [String: AttributeValue] = ["is_causal": .int(way.isCausal ? 1 : 0)]
      let plain = try run("Attention", inputs, causal, mode: mode)[0].values
      for index in plain.indices {
        #expect(index / 4 % 3 == 1 ? plain[index] == 0 : plain[index].isFinite)
      }
      if way.isBool || way.isCausal || way.hasPast { continue }
      func fused(_ own: [String: AttributeValue]) throws -> [Double] {
        let attributes = own.merging(["grouped": .int(1), "scale": .float(0.5)]) { $1 }
        return try run("FusedAttention", inputs, attributes, mode: mode)[0].values
      }
      let blind = try fused([:])
      let guarded = try fused(["nan_to_zero": .int(1)])
      for index in plain.indices {
        let isBlind = index / 4 % 3 == 1
        #expect(isBlind ? blind[index].isNaN : blind[index] == plain[index])
        #expect(guarded[index] == plain[index])
      }
    }
  }

  @Test("keys before the first, or none of them, give zero", arguments: [DType.float32, .float64])
  func noKeysToSee(dtype: DType) throws {
    let q = try wave([2, 2, 3, 4], 29, dtype)
    let k = try wave([2, 2, 5, 4], 37, dtype)
    let lengths = try tensor([0, 5], [2], .int64)
    let some = try run("Attention", [q, k, k, nil, nil, nil, lengths], outputs: 4)[0].values
    let all = try run("Attention", [q, k, k])[0].values
    #expect(some[0..<24].allSatisfy { $0 == 0 } && some.suffix(24) == all.suffix(24))
    // Key 0, the only one that query 0 may see, is hidden.
    let mask = try tensor([0, 1, 1, 1, 1], [5], .bool)
    let causal = try run("Attention", [q, k, k, mask], ["is_causal": .int(1)])[0].values
    for index in causal.indices { #expect((causal[index] == 0) == (index / 4 % 3 == 0)) }
    let weights = try run(
      "Attention", [q, k, k, mask],
      ["is_causal": .int(1), "qk_matmul_output_mode": .int(3)], outputs: 4)[3].values
    #expect(weights[0..<5].allSatisfy { $0 == 0 } && abs(weights[5..<10].reduce(0, +) - 1) < 1e-6)
  }

  @Test(
    "NaN and Inf reach every query that sees a key, and no other",
    arguments: [DType.float32, .float64], [Double.nan, .infinity])
  func blindQueriesMeetNoNumbers(dtype: DType, bad: Double) throws {
    for isBool in [true, false] {
      // Queries 1 and 2 see nothing; query 2 and key 3, which query 0 does not see, are bad.
      let flags: [Double] = [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
      let mask =
        isBool
        ? try tensor(flags, [3, 4], .bool)
        : try tensor(flags.map { $0 == 0 ? -.infinity : 0 }, [3, 4], dtype)
      let q = try tensor([1, 2, 3, 4, bad, 1], [1, 1, 3, 2], dtype)
      let k = try tensor([1, 2, 3, 4, 5, 6, 7, bad], [1, 1, 4, 2], dtype)
      let v = try tensor([1, 2, 3, 4, 5, 6, bad, 8], [1, 1, 4, 2], dtype)
      let blind = try run("Attention", [q, k, v, mask])[0].values
      #expect(blind.suffix(4).allSatisfy { $0 == 0 }, "\(blind)")
      // A query that sees a score that is no number keeps it.
      let seen = try tensor([1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0], [3, 4], .bool)
      let query = try tensor([1, 2, 3, 4, .nan, 1], [1, 1, 3, 2], dtype)
      let result = try run("Attention", [query, k, v, seen])[0].values
      #expect(result[2..<4].allSatisfy { $0 == 0 } && result[4..<6].allSatisfy(\.isNaN))
      let weights = try run(
        "Attention", [query, k, v, seen], ["is_causal": .int(1), "qk_matmul_output_mode": .int(3)],
        outputs: 4)[3].values
      #expect(weights[4..<8].allSatisfy { $0 == 0 } && weights[8..<12].allSatisfy(\.isNaN))
    }
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
    // Of no elements, and together of more tokens than there are numbers for.
    let long = try Tensor(uninitialized: .float32, [1, 1, 1 << 62, 0])
    let error = #expect(throws: MartletError.self) {
      try run("Attention", [wave([1, 1, 1, 0], 3), long, long, nil, long, long])
    }
    #expect(error?.code == .invalidShape)
  }
}
